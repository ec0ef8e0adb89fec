"""What a run says about itself: one flat record, written as JSON."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kkspdnn.errors import InputError

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
class Record:
    """One run. Times are in seconds of wall clock.

    edges: weights of the network; edges_per_second: inputs times edges over inference_seconds, the
    challenge's rate, which counts rows that died as well; edges_multiplied: multiplications that
    were really done
    compile_seconds: until Kokkos and all workunits were there; load_seconds: files and generators;
    prepare_seconds: once per network; inference_seconds: from input rows in memory to categories
    categories: how many; categories_sha256: of their 1-based numbers joined by newlines
    """

    space: str
    neurons: int
    layers: int
    inputs: int
    edges: int
    kernel: str
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
    notes: tuple[str, ...] = field(default=())

    def to_json(self) -> str:
        """The record as JSON text, one field a line."""
        return json.dumps(asdict(self), indent=2) + "\n"


def categories_sha256(categories: NDArray[np.int64]) -> str:
    """SHA-256 of the 1-based row numbers joined by newlines."""
    return hashlib.sha256("\n".join(map(str, categories.tolist())).encode()).hexdigest()


def write_text(path: str | Path, text: str) -> None:
    """Write a whole file or none: beside its place first, then renamed.

    Raises InputError where it cannot be written.
    """
    target = Path(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
        try:
            with os.fdopen(handle, "w") as file:
                file.write(text)
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(name, 0o666 & ~umask)
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise InputError(f"{target}: cannot be written: {error.strerror}") from error


def as_dict(record: Record) -> dict[str, Any]:
    """The record as plain data."""
    return asdict(record)
