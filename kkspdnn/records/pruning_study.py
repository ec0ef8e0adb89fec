"""
The schema "kkspdnn-pruning/1": what `python -m bench.balanced` measures of pruned networks.

A record is one JSON object with the fields of `Study`. Nothing in it is computed from other fields.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from kkspdnn.errors import InputError
from kkspdnn.io.json_schema import decode

SCHEMA = "kkspdnn-pruning/1"
Pattern = Literal["dense", "balanced", "unstructured", "block"]


@dataclass(frozen=True)
class Accuracy:
    """One network. sparsity: the part of all weights that is gone; seed: of weights and batches;
    accuracy: the part of the test rows whose class is right; blocks: of a balanced network, and
    whether they are of permuted inputs."""

    pattern: Pattern
    sparsity: float
    seed: int
    accuracy: float
    blocks: int = 32
    permuted: bool = False


@dataclass(frozen=True)
class Timing:
    """One implementation on one network. seconds: of every timed run, all input rows through all
    layers; rows: of a run; max_abs_error: from the same network in dense float64; threads: of the
    CPU; space: the execution space."""

    implementation: str
    pattern: Pattern
    sparsity: float
    rows: int
    seconds: tuple[float, ...]
    max_abs_error: float
    threads: int = 1
    space: Literal["serial", "openmp", "cuda"] = "openmp"


@dataclass(frozen=True)
class Study:
    """
    A record.

    created: ISO 8601, UTC; machine: kkspdnn.pk.build.toolchain.machine(); layers: neurons, with
    the input rows' first; training: how the networks were trained, in words
    forms: edges/s of one thread by hand, for a balanced matrix in several forms
    gpu: that of the timings in the space cuda
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
    schema: str = SCHEMA

    def to_json(self) -> str:
        """As JSON text, one field a line."""
        return json.dumps(asdict(self), indent=1, allow_nan=False) + "\n"


def study_from(given: dict[str, Any], where: str) -> Study:
    """A record from its JSON object; InputError beginning with `where` and the field."""
    study = decode(Study, given, where)
    for place, timing in enumerate(study.timings):
        if not timing.seconds or min(timing.seconds) <= 0:
            raise InputError(f"{where}: timings[{place}]: seconds: times above 0 are needed")
    for part in (*(a.sparsity for a in study.accuracies), *(t.sparsity for t in study.timings)):
        if not 0 <= part < 1:
            raise InputError(f"{where}: sparsity: {part} is not from 0 to below 1")
    return study
