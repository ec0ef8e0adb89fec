"""
Records of inference time against the number of MPI ranks, by `python -m bench.scaling`.

The format is "kkspdnn-scaling/1": one JSON object with the fields of `RankStudy`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import log2
from typing import Any

from kkspdnn.errors import InputError
from kkspdnn.io.json_schema import decode

SCHEMA = "kkspdnn-scaling/1"


@dataclass(frozen=True)
class Split:
    """The work of the rank with the most work over the mean, for four distributions of the rows.

    dealt: round-robin, as in kkspdnn; neighbours: contiguous blocks of the same number of rows
    sorted_dealt, sorted_neighbours: the same after sorting the rows by their number of nonzeros
    """

    dealt: float
    neighbours: float
    sorted_dealt: float
    sorted_neighbours: float


@dataclass(frozen=True)
class ShardTime:
    """The time of one rank's shard, for a number of ranks, computed by one process alone.

    rows: of the largest shard
    seconds: median over shards of the shortest of several runs; disturbances only add time
    work: see Split
    samples: the times of all runs, for each shard that was timed; none in older records
    """

    ranks: int
    rows: int
    seconds: float
    work: Split
    samples: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True)
class MpiRuns:
    """Runs with mpiexec.

    seconds: of each run; imbalance: longest over mean compute time of the ranks, median of the runs
    """

    ranks: int
    seconds: tuple[float, ...]
    imbalance: float


@dataclass(frozen=True)
class RankModel:
    """The parameters of the model: seconds per run, per row, and per synchronization step."""

    fixed_seconds: float
    row_seconds: float
    step_seconds: float

    def seconds(self, ranks: int, rows: int, imbalance: float) -> float:
        """Return the modelled time for `rows` rows in total; imbalance: Split.dealt."""
        computing = self.fixed_seconds + self.row_seconds * imbalance * rows / ranks
        return computing + self.step_seconds * log2(ranks)


@dataclass(frozen=True)
class ModelledTime:
    """The time of the model."""

    ranks: int
    seconds: float


@dataclass(frozen=True)
class Prediction:
    """A time of the model for more ranks than the machine has cores, and the speed-up over one."""

    ranks: int
    seconds: float
    speedup: float


@dataclass(frozen=True)
class RankStudy:
    """A record of measured and modelled times.

    created: ISO 8601, UTC
    machine: the processor, see kkspdnn.pk.build.toolchain.machine
    network: its name; inputs: the number of input rows
    threads: of each rank
    points: measured, one shard alone; runs: measured, all ranks with mpiexec on this machine
    modelled: for the ranks of `points`
    load_average: the mean of the minute before the measurement; None in older records
    dtype: of weights and activations
    """

    created: str
    machine: str
    compilers: dict[str, str]
    versions: dict[str, str]
    commit: str | None
    command: str
    network: str
    inputs: int
    threads: int
    points: tuple[ShardTime, ...]
    runs: tuple[MpiRuns, ...]
    model: RankModel
    modelled: tuple[ModelledTime, ...]
    predictions: tuple[Prediction, ...]
    load_average: float | None = None
    dtype: str = "float32"
    kind: str = SCHEMA

    def to_json(self) -> str:
        """Return the record as JSON text, one field a line."""
        return json.dumps(asdict(self), indent=1, allow_nan=False) + "\n"


def rank_study_from(fields: Mapping[str, Any], where: str) -> RankStudy:
    """Return a record from its JSON object.

    Raises InputError, which begins with `where` and the name of the field.
    """
    # Older records repeat a published result.
    known = {name: value for name, value in fields.items() if name != "published"}
    study = decode(RankStudy, known, where)
    for name in ("points", "runs", "modelled"):
        times = getattr(study, name)
        if not times or times[0].ranks != 1:
            raise InputError(f"{where}: {name}: the first must be that of one rank")
    seconds = [*(t.seconds for t in study.points), *(t.seconds for t in study.modelled)]
    seconds += [time for run in study.runs for time in run.seconds]
    if not all(run.seconds for run in study.runs) or min(seconds) <= 0:
        raise InputError(f"{where}: seconds: times above 0 are needed")
    return study
