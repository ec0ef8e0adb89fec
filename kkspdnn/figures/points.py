"""Reads records of runs and benchmarks as a list of data points for figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from kkspdnn.errors import InputError
from kkspdnn.io.json_schema import decode, read_json
from kkspdnn.records.comparison import SCHEMA, Comparison, PeerResult, comparison_from
from kkspdnn.records.pruning_study import SCHEMA as PRUNING
from kkspdnn.records.pruning_study import Study, study_from
from kkspdnn.records.run import Record
from kkspdnn.records.spgemm_study import SCHEMA as SPGEMM
from kkspdnn.records.spgemm_study import SpgemmStudy, spgemm_study_from

REFERENCE = "reference"
"""The name of the serial reference in a comparison."""

_LABELS = {
    "spgemm": "kkspdnn, SpGEMM",
    "none": "kkspdnn, fused, no early exit",
    "dead": "kkspdnn, fused, zero rows dropped",
    "all": "kkspdnn, fused, early exit",
    "fold": "kkspdnn, fused, early exit, merged neurons",
}
"""Labels of runs, by kernel, `--exits` or `--fold`."""

_DISPLAYED = {
    "no row leaves": "no early exit",
    "zero rows leave": "zero rows dropped",
    "all exits": "early exit",
    "folded": "merged neurons",
}
"""Phrases in the labels of comparison records, and those that figures display."""


@dataclass(frozen=True)
class Point:
    """The times of one implementation on one network and machine.

    name: as in kkspdnn.records.comparison.PeerResult
    label: as displayed
    architecture: the GPU, or the machine
    threads: of all MPI ranks
    problem_inputs: the number of input rows of the problem
    inputs: the number of input rows that were timed
    seconds: of each run
    computed_edges: edges really multiplied in one run; None if unknown
    bytes_per_edge: see kkspdnn.records.comparison.PeerResult; None if unknown
    ranks: the number of MPI ranks
    """

    name: str
    label: str
    architecture: str
    threads: int
    neurons: int
    layers: int
    edges: int
    problem_inputs: int
    inputs: int
    seconds: tuple[float, ...]
    computed_edges: int | None
    bytes_per_edge: float | None
    ranks: int = 1

    @property
    def rates(self) -> tuple[float, float, float]:
        """The lowest, median and highest rate, edges/s."""
        work = self.inputs * self.edges
        return work / max(self.seconds), work / median(self.seconds), work / min(self.seconds)

    @property
    def rate(self) -> float:
        """The median rate, edges/s."""
        return self.rates[1]

    @property
    def times(self) -> tuple[float, float, float]:
        """The shortest, median and longest time, seconds."""
        return min(self.seconds), median(self.seconds), max(self.seconds)

    @property
    def network(self) -> str:
        """Neurons and layers, as the challenge names its networks."""
        return f"{self.neurons}-{self.layers}"


@dataclass(frozen=True)
class Records:
    """The contents of several files.

    points: of one process, one for each implementation, network and machine
    comparisons, studies, spgemm_studies: the records of benchmarks
    skipped: files of other formats
    of_ranks: like `points`, of runs with several MPI ranks
    """

    points: tuple[Point, ...]
    comparisons: tuple[Comparison, ...]
    studies: tuple[Study, ...] = ()
    skipped: tuple[Path, ...] = ()
    of_ranks: tuple[Point, ...] = ()
    spgemm_studies: tuple[SpgemmStudy, ...] = ()


def read_records(paths: Sequence[Path]) -> Records:
    """Read records of `python -m bench`, `python -m bench.balanced` and `python -m kkspdnn --json`.

    Raises InputError with file and field for an invalid record, or if no file is a record.
    """
    comparisons, points, studies, spgemm_studies, skipped = [], [], [], [], []
    of_ranks: list[Point] = []
    for path in paths:
        fields = read_json(path)
        if fields.get("schema") == PRUNING:
            studies.append(study_from(fields, str(path)))
        elif fields.get("schema") == SPGEMM:
            spgemm_studies.append(spgemm_study_from(fields, str(path)))
        elif "schema" in fields:
            comparison = _with_displayed_labels(comparison_from(fields, str(path)))
            comparisons.append(comparison)
            points += _of_comparison(comparison)
        elif {"space", "kernel", "inference_seconds"} <= fields.keys():
            run = decode(Record, fields, str(path), strict=False)
            (of_ranks if run.loads else points).append(_of_run(run, path))
        else:
            skipped.append(path)
    if not any((comparisons, points, studies, spgemm_studies, of_ranks)):
        raise InputError(
            f"no record among {len(paths)} files; give those of python -m bench run --json "
            f"({SCHEMA}) or of python -m kkspdnn --json"
        )
    return Records(
        points=tuple(_best(points)),
        comparisons=tuple(comparisons),
        studies=tuple(studies),
        skipped=tuple(skipped),
        of_ranks=tuple(_best(of_ranks)),
        spgemm_studies=tuple(spgemm_studies),
    )


def _best(points: Iterable[Point]) -> list[Point]:
    """Keep the point with the most runs of those that measure the same, in the given order."""
    kept: dict[tuple[object, ...], Point] = {}
    for point in points:
        hardware = point.architecture, point.threads, point.ranks
        key = (point.name, *hardware, point.network, point.problem_inputs)
        if key not in kept or len(point.seconds) > len(kept[key].seconds):
            kept[key] = point
    return list(kept.values())


def _with_displayed_labels(record: Comparison) -> Comparison:
    rows = [replace(row, label=_displayed(row.label)) for row in record.rows]
    return replace(record, rows=tuple(rows))


def _displayed(label: str) -> str:
    for stored, displayed in _DISPLAYED.items():
        label = label.replace(stored, displayed)
    return label


def _of_comparison(record: Comparison) -> list[Point]:
    return [_point(record, row) for row in record.measured]


def _point(record: Comparison, row: PeerResult) -> Point:
    network = record.network
    assert network is not None
    assert row.inputs is not None
    assert row.threads is not None
    return Point(
        name=row.name,
        label=row.label,
        architecture=_architecture(record.gpu if row.gpu else None, record.machine),
        threads=row.threads,
        neurons=network.neurons,
        layers=network.layers,
        edges=network.edges,
        problem_inputs=network.inputs,
        inputs=row.inputs,
        seconds=row.inference_seconds,
        computed_edges=row.edges_multiplied,
        bytes_per_edge=row.bytes_per_edge,
    )


def _of_run(record: Record, path: Path) -> Point:
    """Return the point of a run; raise InputError if its result was wrong."""
    if not record.inference_seconds > 0 or record.inputs < 1:
        raise InputError(f"{path}: inference_seconds and inputs must be above 0")
    if record.saved_rows:
        raise InputError(f"{path}: saved_rows: this run resumed from a checkpoint; leave it out")
    if record.debug:
        raise InputError(f"{path}: debug: the times of debug mode mean nothing; leave it out")
    if record.verified.passed is False or record.truth == "failed":
        raise InputError(f"{path}: this run failed its verification; leave it out")
    name = "spgemm" if record.kernel == "spgemm" else "fold" if record.fold else record.exits
    if name not in _LABELS:
        raise InputError(f"{path}: exits: {name!r} is unknown")
    suffix = "" if record.pk == "builtin" else ", PyKokkos"
    return Point(
        name=name if not suffix else "pykokkos",
        label=_LABELS[name] + suffix,
        architecture=_architecture(None, record.machine),
        threads=record.threads,
        neurons=record.neurons,
        layers=record.layers,
        edges=record.edges,
        problem_inputs=record.inputs,
        inputs=record.inputs,
        seconds=(record.inference_seconds,),
        computed_edges=record.edges_multiplied,
        bytes_per_edge=None,
        ranks=max(1, len(record.loads)),
    )


def _architecture(gpu: str | None, machine: str) -> str:
    return gpu if gpu is not None else machine


def largest_comparison(records: Records) -> Comparison | None:
    """Return the comparison with the most measured implementations and with the reference."""
    with_reference = [
        each for each in records.comparisons if any(r.name == REFERENCE for r in each.measured)
    ]
    return max(with_reference, key=lambda each: len(each.measured), default=None)
