"""Reads the records of runs and benchmarks that figures are drawn from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from kkspdnn.errors import InputError
from kkspdnn.figures.hardware import Hardware, Machine, make_hardware
from kkspdnn.figures.points import Point, machines_of
from kkspdnn.io.json_schema import decode, read_json
from kkspdnn.records.comparison import SCHEMA, Comparison, PeerResult, comparison_from
from kkspdnn.records.pruning_study import SCHEMA as PRUNING
from kkspdnn.records.pruning_study import Study, study_from
from kkspdnn.records.rank_study import SCHEMA as RANKS
from kkspdnn.records.rank_study import RankStudy, rank_study_from
from kkspdnn.records.run import SCHEMA as RUN
from kkspdnn.records.run import Record
from kkspdnn.records.spgemm_study import SCHEMA as SPGEMM
from kkspdnn.records.spgemm_study import SpgemmStudy, spgemm_study_from

_LABELS = {
    "spgemm": "kkspdnn, SpGEMM",
    "none": "kkspdnn, fused, no early exit",
    "dead": "kkspdnn, fused, zero rows dropped",
    "all": "kkspdnn, fused, early exit",
    "fold": "kkspdnn, fused, early exit, merged neurons",
    "fold-dead": "kkspdnn, fused, zero rows dropped, merged neurons",
    "fold-none": "kkspdnn, fused, no early exit, merged neurons",
}
"""Labels of runs, by kernel, `--exits` and `--fold`."""

_DISPLAYED = {
    "no row leaves": "no early exit",
    "zero rows leave": "zero rows dropped",
    "all exits": "early exit",
    "folded": "merged neurons",
}
"""Phrases in the labels of comparison records, and those that figures display."""

R = TypeVar("R")


@dataclass(frozen=True)
class Sourced(Generic[R]):
    """A record and its file."""

    path: Path
    record: R


@dataclass(frozen=True)
class LeftOut:
    """A file that no figure shows, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Records:
    """The contents of several files.

    points: of one process, one for each implementation, network and hardware
    of_ranks: like `points`, of runs with several MPI ranks
    comparisons, pruning_studies, spgemm_studies, rank_studies: the records of benchmarks
    left_out: files that are not drawn, whatever the other files are
    """

    points: tuple[Point, ...] = ()
    of_ranks: tuple[Point, ...] = ()
    comparisons: tuple[Sourced[Comparison], ...] = ()
    pruning_studies: tuple[Sourced[Study], ...] = ()
    spgemm_studies: tuple[Sourced[SpgemmStudy], ...] = ()
    rank_studies: tuple[Sourced[RankStudy], ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    @property
    def machines(self) -> list[Machine]:
        """The machines of all points, CPUs first: their colours do not depend on the figure."""
        return machines_of((*self.points, *self.of_ranks))


def read_records(paths: Sequence[Path]) -> Records:
    """Read records of runs (`python -m kkspdnn --json`) and of benchmarks (`python -m bench`).

    Raises InputError with file and field for an invalid record, or if no file is a record that
    figures show.
    """
    reader = _Reader()
    for path in dict.fromkeys(paths):
        reader.read(path)
    points, of_ranks = _best(reader.points), _best(reader.of_ranks)
    found = [reader.comparisons, reader.pruning_studies, reader.spgemm_studies, reader.rank_studies]
    if not points and not of_ranks and not any(found):
        reasons = "".join(f"; {each.path}: {each.reason}" for each in reader.left_out[:1])
        raise InputError(
            f"no record among {len(paths)} files; give those of python -m bench run --json "
            f"({SCHEMA}) or of python -m kkspdnn --json{reasons}"
        )
    return Records(
        points=tuple(points),
        of_ranks=tuple(of_ranks),
        comparisons=tuple(reader.comparisons),
        pruning_studies=tuple(reader.pruning_studies),
        spgemm_studies=tuple(reader.spgemm_studies),
        rank_studies=tuple(reader.rank_studies),
        left_out=(*reader.left_out, *_replaced(reader.points, points)),
    )


class _Reader:
    """Collects the records of files."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        self.of_ranks: list[Point] = []
        self.comparisons: list[Sourced[Comparison]] = []
        self.pruning_studies: list[Sourced[Study]] = []
        self.spgemm_studies: list[Sourced[SpgemmStudy]] = []
        self.rank_studies: list[Sourced[RankStudy]] = []
        self.left_out: list[LeftOut] = []

    def read(self, path: Path) -> None:
        fields = read_json(path)
        schema = fields.get("schema", fields.get("kind"))
        where = str(path)
        if schema == PRUNING:
            self._read_pruning_study(path, study_from(fields, where))
        elif schema == SPGEMM:
            self.spgemm_studies.append(Sourced(path, spgemm_study_from(fields, where)))
        elif schema == RANKS:
            self.rank_studies.append(Sourced(path, rank_study_from(fields, where)))
        elif schema == RUN or {"space", "kernel", "inference_seconds"} <= fields.keys():
            self._read_run(path, fields)
        elif schema == SCHEMA:
            comparison = _with_displayed_labels(comparison_from(fields, where))
            self.comparisons.append(Sourced(path, comparison))
            self.points += [_point(comparison, row, path) for row in comparison.measured]
        else:
            name = "no record" if schema is None else f"a record of the format {schema}"
            self._leave_out(path, f"{name}, which no figure shows")

    def _read_run(self, path: Path, fields: dict[str, Any]) -> None:
        run = decode(Record, fields, str(path), strict=False)
        reason = _unusable(run, str(path))
        if reason is not None:
            self._leave_out(path, reason)
        else:
            (self.of_ranks if run.loads else self.points).append(_of_run(run, path))

    def _read_pruning_study(self, path: Path, study: Study) -> None:
        if study.quick:
            self._leave_out(path, "a quick trial, whose networks are small and whose runs are few")
        else:
            self.pruning_studies.append(Sourced(path, study))

    def _leave_out(self, path: Path, reason: str) -> None:
        self.left_out.append(LeftOut(path, reason))


def _best(points: Iterable[Point]) -> list[Point]:
    """Keep one point of those that measure the same, in the given order.

    A measurement of several runs is better than one run, then the latest is best.
    """

    def quality(point: Point) -> tuple[bool, str, int]:
        return len(point.seconds) > 1, point.created, len(point.seconds)

    kept: dict[tuple[object, ...], Point] = {}
    for point in points:
        key = point.measures
        if key not in kept or quality(point) > quality(kept[key]):
            kept[key] = point
    return list(kept.values())


def _replaced(points: Iterable[Point], kept: Iterable[Point]) -> list[LeftOut]:
    """Return the files of single points that have the same measurement in another file."""
    best = {point.measures: point for point in kept}
    used = {point.source for point in best.values()}
    found = {p.source: best[p.measures] for p in points if p.source not in used}
    return [
        LeftOut(path, f"{other.source} has the same measurement, {_why_better(other)}")
        for path, other in found.items()
    ]


def _why_better(point: Point) -> str:
    return f"with {len(point.seconds)} runs" if len(point.seconds) > 1 else "later"


def _with_displayed_labels(record: Comparison) -> Comparison:
    rows = [replace(row, label=_displayed(row.label)) for row in record.rows]
    return replace(record, rows=tuple(rows))


def _displayed(label: str) -> str:
    for stored, displayed in _DISPLAYED.items():
        label = label.replace(stored, displayed)
    return label


def row_hardware(record: Comparison, row: PeerResult) -> Hardware:
    """Return the hardware of a measured implementation."""
    assert row.threads is not None
    return make_hardware(record.machine, row.threads, record.gpu if row.gpu else None)


def _point(record: Comparison, row: PeerResult, path: Path) -> Point:
    network = record.network
    assert network is not None
    assert row.inputs is not None
    return Point(
        name=row.name,
        label=row.label,
        hardware=row_hardware(record, row),
        neurons=network.neurons,
        layers=network.layers,
        edges=network.edges,
        dtype=network.dtype,
        problem_inputs=network.inputs,
        inputs=row.inputs,
        seconds=row.inference_seconds,
        computed_edges=row.edges_multiplied,
        bytes_per_edge=row.bytes_per_edge,
        source=path,
        created=record.created,
    )


def _unusable(record: Record, where: str) -> str | None:
    """Return why the times of a run cannot be drawn; None if they can.

    Raises InputError for values that no run has.
    """
    if not min((record.inference_seconds, *record.repeat_seconds)) > 0 or record.inputs < 1:
        raise InputError(f"{where}: inference_seconds, repeat_seconds and inputs must be above 0")
    if _run_name(record) not in _LABELS:
        raise InputError(f"{where}: exits: {record.exits!r} is unknown")
    if record.saved_rows:
        return "the run resumed from a checkpoint, so its time is that of some rows"
    if record.debug:
        return "the times of debug mode mean nothing"
    if record.verified.passed is False or record.truth == "failed":
        return "the run failed its verification"
    return None


def _run_name(record: Record) -> str:
    if record.kernel == "spgemm":
        return "spgemm"
    if not record.fold:
        return record.exits
    return "fold" if record.exits == "all" else f"fold-{record.exits}"


def _of_run(record: Record, path: Path) -> Point:
    suffix = "" if record.pk == "builtin" else ", PyKokkos"
    return Point(
        name=_run_name(record) if not suffix else "pykokkos",
        label=_LABELS[_run_name(record)] + suffix,
        hardware=_run_hardware(record),
        neurons=record.neurons,
        layers=record.layers,
        edges=record.edges,
        dtype=record.dtype,
        problem_inputs=record.inputs,
        inputs=record.inputs,
        seconds=record.repeat_seconds or (record.inference_seconds,),
        computed_edges=record.edges_multiplied,
        bytes_per_edge=None,
        source=path,
        created=record.created or "",
        ranks=max(1, len(record.loads)),
    )


def _run_hardware(record: Record) -> Hardware:
    if record.space != "cuda":
        return make_hardware(record.machine, record.threads)
    if record.gpus:
        return make_hardware("", 0, record.gpus[0].name, len(record.gpus))
    # Older records of a GPU name it before the CPU.
    return Hardware(Machine(True, record.machine.partition(";")[0]), 0)
