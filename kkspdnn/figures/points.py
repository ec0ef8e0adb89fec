"""Records of all kinds as one list of points, which is all that figures are drawn from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from kkspdnn.errors import InputError
from kkspdnn.io.json_schema import decode, read_json
from kkspdnn.records.comparison import SCHEMA, Comparison, Row, comparison_from
from kkspdnn.records.pruning_study import SCHEMA as PRUNING
from kkspdnn.records.pruning_study import Study, study_from
from kkspdnn.records.run import Record

REFERENCE = "reference"
"""The serial reference among the rows of a comparison."""

_LABELS = {
    "spgemm": "kkspdnn, SpGEMM",
    "none": "kkspdnn, fused, no row leaves",
    "dead": "kkspdnn, fused, zero rows leave",
    "all": "kkspdnn, fused, all exits",
    "fold": "kkspdnn, fused, all exits, folded",
}


@dataclass(frozen=True)
class Point:
    """
    One implementation on one network and machine.

    name, label: as in kkspdnn.records.comparison.Row; architecture: execution space and machine
    problem_inputs: rows of the problem; inputs: those that it was timed with
    threads, ranks: of all ranks together, and how many ranks of MPI
    seconds: of every timed run; multiplied: edges really multiplied in one; None where unknown
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
    multiplied: int | None
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
    """All that was read. points: of one process, no two of the same; of_ranks: of runs with
    more ranks; skipped: files of other formats."""

    points: tuple[Point, ...]
    comparisons: tuple[Comparison, ...]
    studies: tuple[Study, ...] = ()
    skipped: tuple[Path, ...] = ()
    of_ranks: tuple[Point, ...] = ()


def read_records(paths: Sequence[Path]) -> Records:
    """
    Records of `python -m bench`, of `python -m bench.balanced` and of `python -m kkspdnn --json`.

    InputError with file and field for one that breaks its schema, and where no file is a record.
    """
    comparisons, points, studies, skipped = [], [], [], []
    of_ranks: list[Point] = []
    for path in paths:
        given = read_json(path)
        if given.get("schema") == PRUNING:
            studies.append(study_from(given, str(path)))
        elif "schema" in given:
            comparison = comparison_from(given, str(path))
            comparisons.append(comparison)
            points += _of_comparison(comparison)
        elif {"space", "kernel", "inference_seconds"} <= given.keys():
            run = decode(Record, given, str(path), strict=False)
            (of_ranks if run.loads else points).append(_of_run(run, path))
        else:
            skipped.append(path)
    if not comparisons and not points and not studies and not of_ranks:
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
    )


def _best(points: Iterable[Point]) -> list[Point]:
    """Of measurements of the same, the one of the most runs; in the order of first mention."""
    kept: dict[tuple[object, ...], Point] = {}
    for point in points:
        where = point.architecture, point.threads, point.ranks
        key = (point.name, *where, point.network, point.problem_inputs)
        if key not in kept or len(point.seconds) > len(kept[key].seconds):
            kept[key] = point
    return list(kept.values())


def _of_comparison(record: Comparison) -> list[Point]:
    return [_point(record, row) for row in record.measured]


def _point(record: Comparison, row: Row) -> Point:
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
        multiplied=row.edges_multiplied,
        bytes_per_edge=row.bytes_per_edge,
    )


def _of_run(record: Record, path: Path) -> Point:
    """A run that was found wrong is no measurement."""
    if not record.inference_seconds > 0 or record.inputs < 1:
        raise InputError(f"{path}: inference_seconds and inputs must be above 0")
    if record.saved_rows:
        raise InputError(f"{path}: saved_rows: this run went on from a checkpoint; leave it out")
    if record.verified.passed is False or record.truth == "failed":
        raise InputError(f"{path}: this run failed its verification; leave it out")
    name = "spgemm" if record.kernel == "spgemm" else "fold" if record.fold else record.exits
    if name not in _LABELS:
        raise InputError(f"{path}: exits: {name!r} is unknown")
    front = "" if record.pk == "builtin" else ", PyKokkos"
    return Point(
        name=name if not front else "pykokkos",
        label=_LABELS[name] + front,
        architecture=_architecture(None, record.machine),
        threads=record.threads,
        neurons=record.neurons,
        layers=record.layers,
        edges=record.edges,
        problem_inputs=record.inputs,
        inputs=record.inputs,
        seconds=(record.inference_seconds,),
        multiplied=record.edges_multiplied,
        bytes_per_edge=None,
        ranks=max(1, len(record.loads)),
    )


def _architecture(gpu: str | None, machine: str) -> str:
    return gpu if gpu is not None else machine


def widest(records: Records) -> Comparison | None:
    """The comparison with the most measured implementations, the reference among them."""
    with_reference = [
        each for each in records.comparisons if any(r.name == REFERENCE for r in each.measured)
    ]
    return max(with_reference, key=lambda each: len(each.measured), default=None)
