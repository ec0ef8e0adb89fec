"""Strong and weak scaling over threads, and over ranks of MPI."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kkspdnn.figures.points import Point, Records
from kkspdnn.figures.style import COLOURS, GREY, LINES, MARKERS, Chart, grid, legend, letter, panels
from kkspdnn.figures.table import Table
from kkspdnn.records.published import Published


@dataclass(frozen=True)
class Scaling:
    """One implementation: points by threads, each with its lowest, median and highest value.

    kind: strong (the same problem; speed-up over the fewest threads) or weak (input rows grow with
    the threads; part of the rate a thread that the fewest threads have)
    label: of the implementation, and of how many threads ranks are
    """

    kind: str
    label: str
    points: tuple[Point, ...]

    @property
    def values(self) -> list[tuple[float, float, float]]:
        """Lowest, median and highest, over the median of the fewest threads."""
        first = self.points[0]
        found = []
        for point in self.points:
            share = 1 if self.kind == "strong" else first.threads / point.threads
            low, middle, high = (share * rate / first.rate for rate in point.rates)
            found.append((low, middle, high))
        return found


def chart(records: Records, published: Published) -> Chart | None:
    """From points that differ in threads, or in ranks of as many threads each; None where there are
    none."""
    every = *records.points, *records.of_ranks
    found = []
    for kind in ("strong", "weak"):
        found += [*_scalings(records.points, kind), *_scalings(every, kind, of_ranks=True)]
    if not found:
        return None
    kinds = list(dict.fromkeys(each.kind for each in found))

    def paint(figure: Figure, wide: bool) -> None:
        drawn = panels(figure, len(kinds), wide)
        labels = list(dict.fromkeys(each.label for each in found))
        for number, kind in enumerate(kinds):
            chosen = [each for each in found if each.kind == kind]
            _paint(drawn[number], kind, chosen, labels, number)
        legend(figure, 3 if wide else 1)

    return Chart("threads", _table(found), (1.9 * len(kinds) + 0.7, 2.8), paint)


def _scalings(points: tuple[Point, ...], kind: str, of_ranks: bool = False) -> list[Scaling]:
    sets: dict[tuple[object, ...], dict[int, Point]] = {}
    for point in points:
        # A rate over fewer rows stands for that over all.
        size: float = point.problem_inputs
        if kind == "weak":
            size /= point.threads
        each = point.threads // point.ranks if of_ranks else 0
        key = (point.name, point.architecture, point.network, size, each)
        sets.setdefault(key, {})[point.threads] = point
    return [
        Scaling(kind, _label(by[min(by)], of_ranks), tuple(by[count] for count in sorted(by)))
        for by in sets.values()
        if len(by) > 1
    ]


def _label(point: Point, of_ranks: bool) -> str:
    if not of_ranks:
        return point.label
    each = point.threads // point.ranks
    return f"{point.label}, ranks of {each} thread{'s' if each != 1 else ''}"


def _paint(axes: Axes, kind: str, found: list[Scaling], labels: list[str], number: int) -> None:
    threads = sorted({p.threads for each in found for p in each.points})
    ranks = any(p.ranks > 1 for each in found for p in each.points)
    for each in found:
        style = labels.index(each.label)
        middle = [value[1] for value in each.values]
        errors = [
            [value[1] - value[0] for value in each.values],
            [value[2] - value[1] for value in each.values],
        ]
        axes.errorbar(
            [p.threads for p in each.points],
            middle,
            yerr=errors,
            color=COLOURS[style % len(COLOURS)],
            marker=MARKERS[style % len(MARKERS)],
            linestyle=LINES[style % len(LINES)],
            elinewidth=0.8,
            label=each.label,
        )
    ideal = [t / threads[0] for t in threads] if kind == "strong" else [1.0 for _ in threads]
    axes.plot(threads, ideal, color=GREY, linewidth=0.8, linestyle="--", label="ideal")
    axes.set_xscale("log", base=2)
    if kind == "strong":
        axes.set_yscale("log", base=2)
        axes.set_yticks(ideal, [f"{value:g}" for value in ideal])
    axes.set_xticks(threads, [str(each) for each in threads])
    axes.minorticks_off()
    axes.set_xlabel(
        f"{letter(number)} threads of all ranks, {kind} scaling"
        if ranks
        else f"{letter(number)} threads, {kind} scaling"
    )
    few = threads[0]
    over = f"{few} thread{'s' if few != 1 else ''}"
    axes.set_ylabel(f"speed-up over {over}" if kind == "strong" else f"efficiency over {over}")
    grid(axes, "both")


def _table(found: list[Scaling]) -> Table:
    rows = []
    for each in found:
        for point, (low, middle, high) in zip(each.points, each.values, strict=True):
            size = point.problem_inputs
            rows.append((each.label, each.kind, point.threads, size, middle, low, high))
    return Table(
        "Scaling over threads: speed-up (strong) and efficiency (weak: input rows grow with the "
        "threads); median, lowest and highest.",
        ("implementation", "scaling", "threads", "inputs", "value", "lowest", "highest"),
        tuple(rows),
    )
