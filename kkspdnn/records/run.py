"""What a run says about itself: one flat record, written as JSON."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kkspdnn.engines.partial_result import Schedule
from kkspdnn.errors import InputError
from kkspdnn.io.atomic_write import replace_file
from kkspdnn.records.host_load import HostLoad

Truth = Literal["passed", "failed", "absent"]


@dataclass(frozen=True)
class Verified:
    """How a result was checked against the serial reference.

    mode: none, sample or full; rows: how many input rows were compared
    max_abs_error: the largest difference of any value; bound: what float arithmetic allows,
    see verify.error_bound; same_categories, passed: the verdicts
    reference_seconds: the serial reference, one thread, for all input rows (from the sample's
    rows where mode is sample); speedup: that over inference_seconds
    """

    mode: str
    rows: int = 0
    max_abs_error: float | None = None
    bound: float | None = None
    same_categories: bool | None = None
    passed: bool | None = None
    reference_seconds: float | None = None
    speedup: float | None = None


@dataclass(frozen=True)
class RankLoad:
    """What one rank did. host: its node; threads: how many ran at once; device: its GPU, or empty

    rows, layers: how many it took; layers_held: as in Record
    seconds: it computed, without waiting for others
    edges_multiplied, peak_memory_bytes: as in Record
    """

    rank: int
    host: str
    threads: int
    device: str
    rows: int
    layers: int
    layers_held: int
    seconds: float
    edges_multiplied: int
    peak_memory_bytes: int


@dataclass(frozen=True)
class Gpu:
    """A GPU that a run used.

    host: its node; number: its number within CUDA_VISIBLE_DEVICES on the first of its ranks
    arch: such as sm_90; uuid: as `nvidia-smi -L` lists it after `GPU-` or `MIG-`, or empty
    ranks: which ranks ran on it; if there are several, they shared its memory
    """

    host: str
    number: int
    name: str
    arch: str
    uuid: str
    ranks: tuple[int, ...]


@dataclass(frozen=True)
class Record:
    """One run. Times are in seconds of wall clock.

    edges: weights of the network; edges_per_second: inputs times edges over inference_seconds, the
    challenge's rate, which counts rows that died as well; edges_multiplied: multiplications that
    were really done
    exits: which rows left early: none, dead or all
    compile_seconds: until Kokkos and all workunits were there; load_seconds: files and generators;
    prepare_seconds: once per network, its form for the kernels, what is proved of it, and memory
    for activations;
    inference_seconds: from input rows in memory to categories
    categories: how many; categories_sha256: of their 1-based numbers joined by newlines
    fold: whether equal neurons were computed once; then neurons_before_fold and neurons_after_fold
    are those of all layers, without the input rows, and edges_after_fold the weights left
    memory_budget_bytes: what the whole process was to keep within, or None where the free memory
    decided; peak_memory_bytes: the most it had at any time since it began, loading and verifying
    too (the system's high-water mark of resident memory, so in a process that did other things
    before, those as well); layers_held: how many layers were held, from the first; later ones were
    made again on each use, in inference_seconds
    order: in which order the run, or its rank 0, went through rows and layers
    parallel: data where ranks of an MPI run shared the input rows, pipeline where they shared the
    layers, None where there was one process; layers_held is of one rank, or of all in a pipeline
    loads: what each rank did; threads is then those of all ranks and peak_memory_bytes the largest;
    imbalance: the longest of their seconds over the mean, 1 where all have the same
    gpus: each GPU that was used, in the order of the ranks; none on a CPU
    saved_rows: how many input rows a checkpoint had the answer for; times, edges_per_second and
    edges_multiplied are of the others
    host: how busy the machine of rank 0 was
    """

    space: str
    neurons: int
    layers: int
    inputs: int
    edges: int
    kernel: str
    exits: str
    dtype: str
    threads: int
    compile_seconds: float
    load_seconds: float
    prepare_seconds: float
    inference_seconds: float
    edges_per_second: float
    edges_multiplied: int
    categories: int
    categories_sha256: str
    truth: Truth
    verified: Verified
    network: str
    network_source: str
    inputs_source: str
    machine: str
    compiler: str
    kokkos_version: str
    pk: str
    version: str
    command: str = ""
    truth_missing: int | None = None
    truth_extra: int | None = None
    fold: bool = False
    neurons_before_fold: int | None = None
    neurons_after_fold: int | None = None
    edges_after_fold: int | None = None
    memory_budget_bytes: int | None = None
    peak_memory_bytes: int | None = None
    layers_held: int | None = None
    order: Schedule | None = None
    parallel: str | None = None
    loads: tuple[RankLoad, ...] = ()
    imbalance: float | None = None
    gpus: tuple[Gpu, ...] = ()
    saved_rows: int = 0
    host: HostLoad | None = None

    def to_json(self) -> str:
        """The record as JSON text, one field a line; a number that is infinite is null there."""
        return json.dumps(_plain(asdict(self)), indent=2, allow_nan=False) + "\n"


def categories_sha256(categories: NDArray[np.int64]) -> str:
    """SHA-256 of the 1-based row numbers joined by newlines."""
    return hashlib.sha256("\n".join(map(str, categories.tolist())).encode()).hexdigest()


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no infinity and no NaN."""
    return {name: _plain_value(value) for name, value in fields.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, dict):
        return _plain(value)
    if isinstance(value, tuple):
        return [_plain_value(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def check_writable(path: Path) -> None:
    """Raise InputError where `write_text` could not write this file; changes nothing."""
    target = _target(path)
    if target is None:
        return
    if target.is_dir():
        raise InputError(f"{path}: is a folder; give the name of a file")
    if not target.parent.is_dir():
        raise InputError(f"{path}: {target.parent} is not a folder; make it first")
    try:
        # Trying is the only sure way: root passes every check of permissions.
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}."):
            pass
    except OSError as error:
        raise _unwritable(path, error) from error


def write_text(path: Path, text: str) -> None:
    """Write a whole file or none; a device or a pipe, such as /dev/stdout, is written in place.

    Raises InputError where it cannot be written.
    """
    target = _target(path)
    if target is not None:
        with replace_file(target) as file:
            file.write(text.encode())
        return
    try:
        with path.open("w") as opened:
            opened.write(text)
    except OSError as error:
        raise _unwritable(path, error) from error


def _target(path: Path) -> Path | None:
    """The file that a rename may take the place of, links followed; None for a device or pipe."""
    try:
        special = path.exists() and not path.is_file() and not path.is_dir()
    except OSError as error:
        raise _unwritable(path, error) from error
    if special or path.absolute().is_relative_to("/dev"):
        return None
    return Path(os.path.realpath(path))


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path}: cannot be written: {error.strerror or error}")
