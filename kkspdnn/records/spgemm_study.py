"""
Records of SpGEMM implementations on random networks, by `python -m bench spgemm`.

The schema is "kkspdnn-spgemm/1": one JSON object with the fields of `SpgemmStudy`. No field is
derived from other fields.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from kkspdnn.errors import InputError
from kkspdnn.io.json_schema import decode
from kkspdnn.records.comparison import Status

SCHEMA = "kkspdnn-spgemm/1"


@dataclass(frozen=True)
class SpgemmTiming:
    """The times of one implementation on one network.

    name: on the command line; label: in tables and figures
    why: one line that explains the status missing or failed
    threads: the number of threads
    inputs: the number of input rows, from the first; a slow implementation is measured on fewer
    multiplications: of two nonzeros, for these rows in all layers
    computed_edges: the multiplications that the implementation really makes; None if unknown
    seconds: the time of each run, without loading and preparing
    gpu: whether it computes on the record's GPU
    """

    name: str
    label: str
    status: Status
    why: str | None = None
    version: str | None = None
    threads: int | None = None
    inputs: int | None = None
    multiplications: int | None = None
    computed_edges: int | None = None
    seconds: tuple[float, ...] = ()
    gpu: bool = False

    @property
    def nanoseconds(self) -> tuple[float, float, float]:
        """The lowest, median and highest time of a multiplication of two nonzeros."""
        assert self.multiplications is not None
        scale = 1e9 / self.multiplications
        times = self.seconds
        return scale * min(times), scale * median(times), scale * max(times)


@dataclass(frozen=True)
class SpgemmCase:
    """One random network with its input rows.

    neurons: of each layer, and of an input row
    edges: of each output neuron
    density: the percentage of nonzero inputs
    inputs: the number of input rows
    seed: of network and input rows
    multiplications: of two nonzeros in each layer, for all input rows
    densities: the measured percentage of nonzero activations after each layer
    """

    neurons: int
    edges: int
    density: float
    layers: int
    inputs: int
    seed: int
    multiplications: tuple[int, ...]
    densities: tuple[float, ...]
    rows: tuple[SpgemmTiming, ...]

    @property
    def measured(self) -> tuple[SpgemmTiming, ...]:
        """The rows with times."""
        return tuple(row for row in self.rows if row.status == "ok")


@dataclass(frozen=True)
class SpgemmStudy:
    """
    A record of SpGEMM implementations.

    created: ISO 8601, UTC
    machine: the processor, see kkspdnn.pk.build.toolchain.machine
    threads: the number of threads of each implementation
    commit: of the source, with "+" after local changes; None outside a clone
    load_average: the mean of the minute before the measurement; None in older records
    """

    created: str
    machine: str
    cpu_features: tuple[str, ...]
    threads: int
    gpu: str | None
    compilers: dict[str, str]
    versions: dict[str, str]
    commit: str | None
    command: str
    cases: tuple[SpgemmCase, ...]
    load_average: float | None = None
    schema: str = SCHEMA

    def to_json(self) -> str:
        """Return the record as JSON text, one field a line."""
        return json.dumps(asdict(self), indent=1, allow_nan=False) + "\n"


def spgemm_study_from(fields: dict[str, Any], where: str) -> SpgemmStudy:
    """Return a record from its JSON object.

    Raises InputError, which begins with `where` and the name of the field.
    """
    study = decode(SpgemmStudy, fields, where)
    for index, case in enumerate(study.cases):
        _check_case(case, f"{where}: cases[{index}]")
    return study


def _check_case(case: SpgemmCase, where: str) -> None:
    for name in ("neurons", "edges", "layers", "inputs", "density"):
        if not getattr(case, name) > 0:
            raise InputError(f"{where}: {name}: {getattr(case, name)} is not above 0")
    for name in ("multiplications", "densities"):
        count = len(getattr(case, name))
        if count != case.layers:
            raise InputError(f"{where}: {name}: {count} numbers for {case.layers} layers")
    names = [row.name for row in case.rows]
    for index, row in enumerate(case.rows):
        _check_timing(row, f"{where}: rows[{index}]")
        if names.index(row.name) != index:
            raise InputError(f"{where}: rows[{index}]: name: {row.name!r} occurs twice")


def _check_timing(row: SpgemmTiming, where: str) -> None:
    if row.status != "ok":
        if not row.why:
            raise InputError(f"{where}: why: a row with status {row.status} must have it")
        return
    for name in ("threads", "inputs", "multiplications"):
        value = getattr(row, name)
        if value is None or value < 1:
            raise InputError(f"{where}: {name}: a row with status ok must have a number above 0")
    if not row.seconds or min(row.seconds) <= 0:
        raise InputError(f"{where}: seconds: at least one time above 0 is needed")
