"""
Records of several implementations on one network and machine, by `python -m bench`.

The schema is "kkspdnn-bench/1": one JSON object with the fields of `Comparison`. No field is
derived from other fields, so rates and ratios always agree with the times.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal, get_args

from kkspdnn.errors import InputError
from kkspdnn.io.json_schema import decode, read_json

SCHEMA = "kkspdnn-bench/1"
Status = Literal["ok", "missing", "failed"]


@dataclass(frozen=True)
class NetworkSize:
    """The network of a comparison.

    neurons: of an input row
    layers: the number of layers
    inputs: the number of input rows
    edges: the number of weights of all layers
    """

    name: str
    neurons: int
    layers: int
    inputs: int
    edges: int
    dtype: str


@dataclass(frozen=True)
class PeerResult:
    """The result of one implementation. Times are in seconds of wall clock.

    name: on the command line; label: in tables and figures
    status: ok, missing (not installed) or failed
    why: one line that explains missing or failed
    threads: the number of threads
    inputs: the number of input rows, from the first; a slow implementation is measured on fewer
    rows, so rates are comparable and times are not
    compile_seconds, load_seconds, prepare_seconds: the set-up before the first run
    inference_seconds: the time of each run
    edges_multiplied: computed edges: multiplications of a weight with an activation in one run
    bytes_per_edge: the bytes that the innermost loop loads for one computed edge, derived from its
    data structures
    categories: the number of categories
    categories_sha256: the SHA-256 of the 1-based row numbers joined by newlines
    agrees: whether the categories are the expected ones; otherwise no run is timed
    gpu: whether it computes on the record's GPU
    """

    name: str
    label: str
    status: Status
    why: str | None = None
    version: str | None = None
    threads: int | None = None
    inputs: int | None = None
    compile_seconds: float | None = None
    load_seconds: float | None = None
    prepare_seconds: float | None = None
    inference_seconds: tuple[float, ...] = ()
    edges_multiplied: int | None = None
    bytes_per_edge: float | None = None
    categories: int | None = None
    categories_sha256: str | None = None
    agrees: bool | None = None
    gpu: bool = False

    @property
    def seconds(self) -> float:
        """The median time of the runs."""
        return median(self.inference_seconds)

    def rate(self, edges: int) -> float:
        """Return the challenge's rate, edges/s: rows times edges over the median time."""
        return self.rates(edges)[1]

    def rates(self, edges: int) -> tuple[float, float, float]:
        """Return the lowest, median and highest rate, edges/s, of the runs."""
        assert self.inputs is not None
        work = self.inputs * edges
        times = self.inference_seconds
        return work / max(times), work / self.seconds, work / min(times)


@dataclass(frozen=True)
class LayerCounts:
    """Numbers of input rows after each layer, by the serial reference in the network's dtype.

    alive: rows with a nonzero value
    saturated: rows with every value at the upper limit
    undecided: active rows, whose final output is not proven, see kkspdnn.engines.exit_bounds
    nonzeros: the nonzero values of all rows
    products: the multiplications of two nonzeros in each layer
    """

    alive: tuple[int, ...]
    saturated: tuple[int, ...]
    undecided: tuple[int, ...]
    nonzeros: tuple[int, ...]
    products: tuple[int, ...]


@dataclass(frozen=True)
class Ceilings:
    """Machine ceilings of all threads, measured by `python -m bench ceilings`.

    edges_per_second: multiplications with an addition each, of float32 in registers
    l1_bytes_per_second, l2_bytes_per_second, memory_bytes_per_second: reads of arrays that fit into
    the L1 caches, the L2 caches or memory
    listed_per_second: multiplications with an addition each to listed elements of an array in the
    L1 caches, the inner loop of SpGEMM; None in older records
    """

    threads: int
    edges_per_second: float
    l1_bytes_per_second: float
    l2_bytes_per_second: float
    memory_bytes_per_second: float
    listed_per_second: float | None = None


@dataclass(frozen=True)
class Comparison:
    """A record of several implementations.

    created: ISO 8601, UTC
    machine: the processor, see kkspdnn.pk.build.toolchain.machine
    threads: the number of threads of each implementation
    commit: of the source, with "+" after local changes; None outside a clone
    layers, ceilings: None if they were not measured
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
    network: NetworkSize | None
    rows: tuple[PeerResult, ...] = ()
    layers: LayerCounts | None = None
    ceilings: Ceilings | None = None
    load_average: float | None = None
    schema: str = SCHEMA

    def to_json(self) -> str:
        """Return the record as JSON text, one field a line."""
        return json.dumps(asdict(self), indent=1, allow_nan=False) + "\n"

    @property
    def measured(self) -> tuple[PeerResult, ...]:
        """The results with times."""
        return tuple(row for row in self.rows if row.status == "ok")


def read_comparison(path: Path) -> Comparison:
    """Return the record in a file; raise InputError with file and field if it is invalid."""
    return comparison_from(read_json(path), str(path))


def comparison_from(fields: dict[str, Any], where: str) -> Comparison:
    """Return a record from its JSON object.

    Raises InputError, which begins with `where` and the name of the field.
    """
    if fields.get("schema") != SCHEMA:
        raise InputError(f"{where}: schema: {fields.get('schema')!r} is not {SCHEMA!r}")
    record = decode(Comparison, fields, where)
    names = [row.name for row in record.rows]
    for index, row in enumerate(record.rows):
        _check_row(row, f"{where}: rows[{index}]")
        if names.index(row.name) != index:
            raise InputError(f"{where}: rows[{index}]: name: {row.name!r} occurs twice")
    _check_numbers(record, where)
    return record


def _check_row(row: PeerResult, where: str) -> None:
    assert row.status in get_args(Status)
    if row.status != "ok":
        if not row.why:
            raise InputError(f"{where}: why: a row with status {row.status} must have it")
        return
    needed = ("threads", "inputs", "categories", "categories_sha256")
    for name in needed:
        if getattr(row, name) is None:
            raise InputError(f"{where}: {name}: a row with status ok must have it")
    if not row.inference_seconds or min(row.inference_seconds) <= 0:
        raise InputError(f"{where}: inference_seconds: at least one time above 0 is needed")
    if row.agrees is not True:
        raise InputError(f"{where}: agrees: a row with unexpected categories cannot be ok")
    assert row.inputs is not None
    if row.inputs < 1:
        raise InputError(f"{where}: inputs: {row.inputs} is less than 1")


def _check_numbers(record: Comparison, where: str) -> None:
    if record.rows and record.network is None:
        raise InputError(f"{where}: network: a record with rows must have it")
    if record.layers is not None:
        if record.network is None:
            raise InputError(f"{where}: network: a record with layers must have it")
        for name, counts in asdict(record.layers).items():
            if len(counts) != record.network.layers:
                raise InputError(
                    f"{where}: layers: {name}: {len(counts)} numbers for "
                    f"{record.network.layers} layers"
                )
    ceilings = {} if record.ceilings is None else asdict(record.ceilings)
    if any(number is not None and number <= 0 for number in ceilings.values()):
        raise InputError(f"{where}: ceilings: every number must be above 0")
