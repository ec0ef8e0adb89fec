"""
Records of accuracy and speed of pruned networks, by `python -m bench.balanced`.

The schema is "kkspdnn-pruning/1": one JSON object with the fields of `Study`. No field is derived
from other fields.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from kkspdnn.errors import InputError
from kkspdnn.io.json_schema import decode

SCHEMA = "kkspdnn-pruning/1"
Pattern = Literal["dense", "balanced", "unstructured", "block"]
_SPARSITY_OF_OLDER_RECORDS = 0.9


@dataclass(frozen=True)
class Accuracy:
    """The accuracy of one network.

    sparsity: the fraction of all weights that were pruned
    seed: of the initial weights and the batches
    accuracy: the fraction of the test rows that are classified correctly
    blocks: the blocks of inputs of each neuron, if the pattern is balanced
    permuted: whether the inputs were permuted before they were divided into blocks
    """

    pattern: Pattern
    sparsity: float
    seed: int
    accuracy: float
    blocks: int = 32
    permuted: bool = False


@dataclass(frozen=True)
class Timing:
    """The times of one implementation on one network.

    rows: the number of input rows
    seconds: the time of each run: all input rows through all layers
    max_abs_error: the largest difference from the same network, dense in float64
    threads: of the CPU
    space: the execution space
    requested_sparsity: of the pruned layers; None for a dense network, and in older records
    """

    implementation: str
    pattern: Pattern
    sparsity: float
    rows: int
    seconds: tuple[float, ...]
    max_abs_error: float
    threads: int = 1
    space: Literal["serial", "openmp", "cuda"] = "openmp"
    requested_sparsity: float | None = None

    @property
    def nominal_sparsity(self) -> float:
        """The requested sparsity: 0 of a dense network, 0.9 of a pruned one in older records."""
        if self.requested_sparsity is not None:
            return self.requested_sparsity
        return 0.0 if self.pattern == "dense" else _SPARSITY_OF_OLDER_RECORDS


@dataclass(frozen=True)
class Study:
    """
    A record of accuracies and timings.

    created: ISO 8601, UTC
    machine: the processor, see kkspdnn.pk.build.toolchain.machine
    layers: the neurons of each layer, the input layer first
    training: a description of the training
    forms: edges/s of hand-written kernels with one thread, for a balanced matrix in several formats
    gpu: the GPU of the timings in the space cuda
    load_average: the mean of the minute before the measurement; None in older records
    quick: whether this is a trial with few and small measurements, which no figure uses
    """

    created: str
    machine: str
    threads: int
    versions: dict[str, str]
    commit: str | None
    command: str
    layers: tuple[int, ...]
    training: str = ""
    accuracies: tuple[Accuracy, ...] = ()
    timings: tuple[Timing, ...] = ()
    forms: dict[str, float] = field(default_factory=dict)
    gpu: str | None = None
    load_average: float | None = None
    quick: bool = False
    schema: str = SCHEMA

    def to_json(self) -> str:
        """Return the record as JSON text, one field a line."""
        return json.dumps(asdict(self), indent=1, allow_nan=False) + "\n"


def study_from(fields: dict[str, Any], where: str) -> Study:
    """Return a record from its JSON object.

    Raises InputError, which begins with `where` and the name of the field.
    """
    study = decode(Study, fields, where)
    for index, timing in enumerate(study.timings):
        if not timing.seconds or min(timing.seconds) <= 0:
            raise InputError(f"{where}: timings[{index}]: seconds: times above 0 are needed")
    sparsities = *(a.sparsity for a in study.accuracies), *(t.sparsity for t in study.timings)
    for sparsity in sparsities:
        if not 0 <= sparsity < 1:
            raise InputError(f"{where}: sparsity: {sparsity} is not from 0 to below 1")
    return study
