"""Data points of figures: the times of one implementation on one network and machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from kkspdnn.figures.hardware import Hardware, Machine

Values = tuple[float, float, float]
"""The lowest, the middle (mean or median) and the highest value."""


@dataclass(frozen=True)
class Point:
    """The times of one implementation on one network and machine.

    name: as in kkspdnn.records.comparison.PeerResult
    label: as displayed
    hardware: the machine and the threads of all MPI ranks
    problem_inputs: the number of input rows of the problem
    inputs: the number of input rows that were timed
    seconds: of each run
    computed_edges: edges really multiplied in one run; None if unknown
    bytes_per_edge: see kkspdnn.records.comparison.PeerResult; None if unknown
    source: the file of its record
    created: of the record, ISO 8601; empty in older records
    ranks: the number of MPI ranks
    """

    name: str
    label: str
    hardware: Hardware
    neurons: int
    layers: int
    edges: int
    dtype: str
    problem_inputs: int
    inputs: int
    seconds: tuple[float, ...]
    computed_edges: int | None
    bytes_per_edge: float | None
    source: Path
    created: str = ""
    ranks: int = 1

    @property
    def machine(self) -> Machine:
        """The machine."""
        return self.hardware.machine

    @property
    def threads(self) -> int:
        """The threads of all MPI ranks; 0 on a GPU."""
        return self.hardware.threads

    @property
    def date(self) -> str:
        """The date of the record, such as 2026-01-31; empty if it is unknown."""
        return self.created[:10]

    @property
    def rates(self) -> Values:
        """The lowest, median and highest rate, edges/s."""
        work = self.inputs * self.edges
        return work / max(self.seconds), work / median(self.seconds), work / min(self.seconds)

    @property
    def rate(self) -> float:
        """The median rate, edges/s."""
        return self.rates[1]

    @property
    def times(self) -> Values:
        """The shortest, median and longest time, seconds."""
        return spread(self.seconds)

    @property
    def network(self) -> str:
        """Neurons and layers, as the challenge names its networks."""
        return f"{self.neurons}-{self.layers}"

    @property
    def measures(self) -> tuple[object, ...]:
        """A key that points of the same measurement share."""
        size = self.network, self.problem_inputs, self.dtype
        return self.name, self.hardware, self.ranks, *size


def spread(values: Iterable[float]) -> Values:
    """Return the lowest value, the median and the highest value."""
    ordered = sorted(values)
    return ordered[0], median(ordered), ordered[-1]


def of_common_dtype(points: Iterable[Point]) -> list[Point]:
    """Return the points of the dtype that most of them have: a figure shows one dtype."""
    found = list(points)
    if not found:
        return []
    ((dtype, _),) = Counter(point.dtype for point in found).most_common(1)
    return [point for point in found if point.dtype == dtype]


def with_most_threads(points: Iterable[Point]) -> list[Point]:
    """Return the points with the most threads of their machine."""
    found = list(points)
    threads: dict[Machine, int] = {}
    for point in found:
        threads[point.machine] = max(threads.get(point.machine, 0), point.threads)
    return [point for point in found if point.threads == threads[point.machine]]


def with_most_rows(points: Iterable[Point]) -> list[Point]:
    """Return one point for each implementation, machine and network: the one of most input rows."""
    best: dict[tuple[object, ...], Point] = {}
    for point in points:
        key = (point.label, point.machine, point.network)
        if key not in best or point.problem_inputs > best[key].problem_inputs:
            best[key] = point
    return list(best.values())


def dates_of(points: Iterable[Point]) -> str:
    """Return the first and the last date of points, such as "2026-01-31 to 2026-02-01"."""
    dates = sorted({point.date for point in points if point.date})
    return " to ".join(dict.fromkeys((dates[0], dates[-1]))) if dates else "on an unknown date"


def describe_problem(neurons: int, layers: int, rows: str, dtype: str) -> str:
    """Return the sizes and the dtype of a problem in words; rows: such as "up to 60,000"."""
    return f"{neurons:,} neurons, {layers:,} layers, {rows} input rows, {dtype}"


def machines_of(points: Iterable[Point]) -> list[Machine]:
    """Return the machines of points, CPUs first."""
    return sorted({point.machine for point in points})


def sources_of(points: Sequence[Point]) -> frozenset[Path]:
    """Return the files of points."""
    return frozenset(point.source for point in points)
