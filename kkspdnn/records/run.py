"""The record of a run, written as JSON, and files that are written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kkspdnn.device.launch_parameters import LaunchParameters
from kkspdnn.engines.partial_result import Schedule
from kkspdnn.errors import InputError
from kkspdnn.io.atomic_write import replace_file
from kkspdnn.notebook_html import html_table
from kkspdnn.records.host_load import HostLoad

SCHEMA = "kkspdnn-run/1"

Verdict = Literal["passed", "failed", "absent"]
"""The comparison with the challenge's expected categories; absent: there are none."""


@dataclass(frozen=True)
class Verification:
    """The comparison of a result with the serial reference.

    mode: none, sample or full
    rows: the number of input rows that were compared
    max_abs_error: the largest absolute difference of any value
    bound: the largest difference that rounding can cause, see kkspdnn.verify.error_bound
    same_categories: whether the rows with nonzero values are the same
    passed: the verdict
    reference_seconds: the time of the serial reference with one thread for all input rows; if mode
    is sample, extrapolated from the rows of the sample
    speedup: reference_seconds over inference_seconds
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
    """The work of one MPI rank.

    host: the name of its node
    threads: the number of its threads
    device: the name of its GPU; empty on a CPU
    rows, layers: the number of input rows and layers that it computed
    seconds: its time of computation, without waiting for other ranks
    layers_held, edges_multiplied, peak_memory_bytes: as in Record
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

    host: the name of its node
    number: its number within CUDA_VISIBLE_DEVICES on the first of its ranks
    name, arch: such as NVIDIA H100 and sm_90
    uuid: as `nvidia-smi -L` lists it after `GPU-` or `MIG-`, or empty
    ranks: the ranks that ran on it; several ranks share its memory
    """

    host: str
    number: int
    name: str
    arch: str
    uuid: str
    ranks: tuple[int, ...]


@dataclass(frozen=True)
class Launch:
    """The launch parameters of a run.

    source: default; or tuned, by `kkspdnn tune` on this machine
    parameters: with few input rows, tiles are narrower, see LaunchParameters.for_rows
    """

    source: Literal["default", "tuned"]
    parameters: LaunchParameters


@dataclass(frozen=True)
class Record:
    """One run. Times are in seconds of wall clock.

    space, kernel, exits, dtype: the options of that name
    threads: of all ranks
    layers: the number of layers; neurons: of an input row
    inputs: the number of input rows
    edges: the number of weights of the network
    network, network_source, inputs_source: the name of the network, and descriptions of the origin
    of network and input rows
    machine, compiler, kokkos_version, version: processor, host compiler and versions
    pk: builtin (the built-in compiler) or pykokkos (the real package)
    debug: whether workunits checked every index; times are not meaningful then
    command: the command line
    schema: the name and version of the format
    created, commit, versions: the origin of the record, see kkspdnn.records.provenance; None and
    none in older records

    load_seconds: files and generators
    compile_seconds: until Kokkos runs and all workunits are compiled
    prepare_seconds: once per network: the choice of the kernel, packing layers, exit bounds, and
    allocation of activations
    inference_seconds: from input rows in memory to categories; the median of the repetitions
    repeat_seconds: the time of each repetition; none in older records
    edges_per_second: the challenge's rate, inputs times edges over inference_seconds; the
    edges of retired rows are counted too
    edges_multiplied: the number of computed edges: multiplications that were really done

    categories: the number of categories, which are the rows with a nonzero value
    categories_sha256: the SHA-256 of their 1-based numbers joined by newlines
    truth: the comparison with the expected categories
    truth_missing, truth_extra: the number of expected categories that are missing, and of others
    verified: the comparison with the serial reference

    fold: whether neurons were merged: equal neurons computed once
    neurons_before_fold, neurons_after_fold: the neurons of all layers, without the input rows
    edges_after_fold: the number of weights after merging
    order: the schedule of rows and layers, of rank 0
    launch: the launch parameters, of all ranks; None for SpGEMM, and in older records

    memory_budget_bytes: the memory budget of the whole process; None: the free memory
    peak_memory_bytes: the largest resident memory of the process so far, with loading and
    verification; of several ranks, the largest one
    layers_held: the number of layers, from the first, that were cached as packed layers; later ones
    were packed again for each use, within inference_seconds; of one rank, or of all in a pipeline

    parallel: data if ranks shared the input rows, pipeline if they shared the layers, None for one
    process
    loads: the work of each rank
    imbalance: the longest of their seconds over the mean; 1 if all are equal
    gpus: each GPU that was used, in the order of the ranks; none on a CPU
    saved_rows: the number of input rows whose result came from a checkpoint; times,
    edges_per_second and edges_multiplied are of the other rows
    host: the load of rank 0's machine
    epilogue: bias and ReLU of the SpGEMM kernel, see `kkspdnn.infer`; None for the fused kernel,
    and in older records
    kernel_auto: whether `--kernel auto` chose the kernel
    activation_density: the density of activations that the choice is based on, see
    kkspdnn.inference.kernel_choice; None if it was not measured
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
    truth: Verdict
    verified: Verification
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
    launch: Launch | None = None
    parallel: str | None = None
    loads: tuple[RankLoad, ...] = ()
    imbalance: float | None = None
    gpus: tuple[Gpu, ...] = ()
    saved_rows: int = 0
    host: HostLoad | None = None
    debug: bool = False
    epilogue: str | None = None
    kernel_auto: bool = False
    activation_density: float | None = None
    created: str | None = None
    commit: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    repeat_seconds: tuple[float, ...] = ()
    schema: str = SCHEMA

    def __repr__(self) -> str:
        return (
            f"<Record {self.network}, {self.inputs:,} rows: {self.space}, {self.kernel} kernel, "
            f"{self.inference_seconds:.3g} s, {self.edges_per_second:.3g} edges/s>"
        )

    def _repr_html_(self) -> str:
        return html_table("Record", dict(_texts(_plain(asdict(self)))))

    def to_json(self) -> str:
        """Return the record as JSON text, one field a line; infinity and NaN become null."""
        return json.dumps(_plain(asdict(self)), indent=2, allow_nan=False) + "\n"


def categories_sha256(categories: NDArray[np.int64]) -> str:
    """Return the SHA-256 of the 1-based row numbers joined by newlines."""
    return hashlib.sha256("\n".join(map(str, categories.tolist())).encode()).hexdigest()


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Replace infinity and NaN, which JSON lacks, by None."""
    return {name: _plain_value(value) for name, value in fields.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, dict):
        return _plain(value)
    if isinstance(value, tuple):
        return [_plain_value(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _texts(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the names and texts of all fields that are set; those of nested fields with dots."""
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from _texts(value, f"{prefix}{name}.")
        elif isinstance(value, float):
            yield prefix + name, f"{value:.6g}"
        elif value not in (None, [], ""):
            yield prefix + name, value if isinstance(value, str) else json.dumps(value)


def check_writable(path: Path) -> None:
    """Raise InputError if `write_text` could not write this file; no file is changed."""
    target = _target(path)
    if target is None:
        return
    if target.is_dir():
        raise InputError(f"{path}: is a folder; give the name of a file")
    if not target.parent.is_dir():
        raise InputError(f"{path}: {target.parent} is not a folder; make it first")
    try:
        # Only a trial is reliable: root passes every check of permissions.
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}."):
            pass
    except OSError as error:
        raise _unwritable(path, error) from error


def write_text(path: Path, text: str) -> None:
    """Write a file atomically; a device or pipe, such as /dev/stdout, is written in place.

    Raises InputError if the file cannot be written.
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
    """Return the file to replace, with links resolved; None for a device or pipe."""
    try:
        special = path.exists() and not path.is_file() and not path.is_dir()
    except OSError as error:
        raise _unwritable(path, error) from error
    if special or path.absolute().is_relative_to("/dev"):
        return None
    return Path(os.path.realpath(path))


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path}: cannot be written: {error.strerror or error}")
