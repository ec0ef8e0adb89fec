"""
The schema "kkspdnn-bench/1": what `python -m bench` measures of one network on one machine.

A record is one JSON object with the fields of `Comparison`. Nothing in it is computed from other
fields, so rates and ratios are always those of the times.
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
class NetworkFacts:
    """name, input neurons, layers, input rows of the problem, weights of all layers, dtype."""

    name: str
    neurons: int
    layers: int
    inputs: int
    edges: int
    dtype: str


@dataclass(frozen=True)
class Row:
    """One implementation. Times are in seconds of wall clock.

    name: as on the command line; label: as in tables and figures
    status: ok, missing (not installed) or failed, for which `why` has one line
    gpu: it computes on the record's GPU
    threads: that it computes with; inputs: the first so many input rows of the problem were given
    to it: a slow one is measured on fewer, and rates are comparable, times are not
    compile, load, prepare: once, before the first run; inference_seconds: every timed run
    edges_multiplied: multiplications of a weight with an activation in one run
    bytes_per_edge: what the innermost loop loads for one of them, by its data structures
    categories, categories_sha256: their number and the SHA-256 of the 1-based row numbers joined by
    newlines; agrees: whether they are the serial reference's; only then is it timed
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
        """The median of the timed runs."""
        return median(self.inference_seconds)

    def rate(self, edges: int) -> float:
        """The challenge's rate, edges/s: rows times edges over the median time."""
        return self.rates(edges)[1]

    def rates(self, edges: int) -> tuple[float, float, float]:
        """The lowest, median and highest rate, edges/s, of the timed runs."""
        assert self.inputs is not None
        work = self.inputs * edges
        times = self.inference_seconds
        return work / max(times), work / self.seconds, work / min(times)


@dataclass(frozen=True)
class LayerCounts:
    """Of the problem's rows, after each layer: how many have any nonzero value (alive), how many
    have every value at the upper limit (saturated), how many may yet end as zeros or otherwise
    (undecided; see kkspdnn.engines.fused.early_exit), and how many nonzero values they have; by the
    serial reference in the network's dtype. `products`: multiplications of nonzeros in each layer.
    """

    alive: tuple[int, ...]
    saturated: tuple[int, ...]
    undecided: tuple[int, ...]
    nonzeros: tuple[int, ...]
    products: tuple[int, ...]


@dataclass(frozen=True)
class Ceilings:
    """What the cores can do at most, all threads together, measured by `python -m bench roofs`.

    edges_per_second: one multiplication and one addition of float32 each, in registers
    l1, l2, memory: bytes/s read from arrays that fit into these
    """

    threads: int
    edges_per_second: float
    l1_bytes_per_second: float
    l2_bytes_per_second: float
    memory_bytes_per_second: float


@dataclass(frozen=True)
class Comparison:
    """A record. `layers` and `ceilings` are there where they were measured.

    created: ISO 8601, UTC; machine: kkspdnn.pk.build.toolchain.machine(); threads: given to every
    implementation; commit: of the source, with "+" where it was changed, None outside a clone
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
    network: NetworkFacts | None
    rows: tuple[Row, ...] = ()
    layers: LayerCounts | None = None
    ceilings: Ceilings | None = None
    schema: str = SCHEMA

    def to_json(self) -> str:
        """As JSON text, one field a line."""
        return json.dumps(asdict(self), indent=1, allow_nan=False) + "\n"

    @property
    def measured(self) -> tuple[Row, ...]:
        """The rows that have times."""
        return tuple(row for row in self.rows if row.status == "ok")


def read_comparison(path: Path) -> Comparison:
    """A record from its file; InputError with file and field where it breaks the schema."""
    return comparison_from(read_json(path), str(path))


def comparison_from(given: dict[str, Any], where: str) -> Comparison:
    """A record from its JSON object; InputError beginning with `where` and the field."""
    if given.get("schema") != SCHEMA:
        raise InputError(f"{where}: schema: {given.get('schema')!r} is not {SCHEMA!r}")
    record = decode(Comparison, given, where)
    names = [row.name for row in record.rows]
    for place, row in enumerate(record.rows):
        _check_row(row, f"{where}: rows[{place}]")
        if names.index(row.name) != place:
            raise InputError(f"{where}: rows[{place}]: name: {row.name!r} is there twice")
    _check_numbers(record, where)
    return record


def _check_row(row: Row, where: str) -> None:
    assert row.status in get_args(Status)
    if row.status != "ok":
        if not row.why:
            raise InputError(f"{where}: why: a row that is {row.status} must say why")
        return
    needed = ("threads", "inputs", "categories", "categories_sha256")
    for name in needed:
        if getattr(row, name) is None:
            raise InputError(f"{where}: {name}: a row that is ok must have it")
    if not row.inference_seconds or min(row.inference_seconds) <= 0:
        raise InputError(f"{where}: inference_seconds: at least one time above 0 is needed")
    if row.agrees is not True:
        raise InputError(f"{where}: agrees: a row with other categories cannot be ok")
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
    if record.ceilings is not None and min(asdict(record.ceilings).values()) <= 0:
        raise InputError(f"{where}: ceilings: every number must be above 0")
