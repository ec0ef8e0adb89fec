"""The figure of strong and weak scaling over threads and over MPI ranks."""

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
    """The scaling of one implementation.

    mode: strong (the same problem: speed-up over the fewest threads) or weak (input rows in
    proportion to threads: efficiency relative to the fewest threads)
    label: of the implementation, with the threads of each rank
    points: in ascending order of threads
    """

    mode: str
    label: str
    points: tuple[Point, ...]

    @property
    def values(self) -> list[tuple[float, float, float]]:
        """The lowest, median and highest value of each point, over the first point's median."""
        first = self.points[0]
        values = []
        for point in self.points:
            factor = 1 if self.mode == "strong" else first.threads / point.threads
            low, middle, high = (factor * rate / first.rate for rate in point.rates)
            values.append((low, middle, high))
        return values


def chart(records: Records, published: Published) -> Chart | None:
    """Return the figure of points that differ only in threads, or in ranks of equal threads.

    None without such points.
    """
    all_points = *records.points, *records.of_ranks
    scalings = []
    for mode in ("strong", "weak"):
        scalings += [
            *_scalings(records.points, mode),
            *_scalings(all_points, mode, of_ranks=True),
        ]
    if not scalings:
        return None
    modes = list(dict.fromkeys(each.mode for each in scalings))

    def paint(figure: Figure, wide: bool) -> None:
        drawn = panels(figure, len(modes), wide)
        labels = list(dict.fromkeys(each.label for each in scalings))
        for number, mode in enumerate(modes):
            chosen = [each for each in scalings if each.mode == mode]
            _paint(drawn[number], mode, chosen, labels, number)
        legend(figure, 3 if wide else 1)

    return Chart("threads", _table(scalings), (1.9 * len(modes) + 0.7, 2.8), paint)


def _scalings(points: tuple[Point, ...], mode: str, of_ranks: bool = False) -> list[Scaling]:
    sets: dict[tuple[object, ...], dict[int, Point]] = {}
    for point in points:
        # A rate measured on fewer rows counts as that of all rows.
        size: float = point.problem_inputs
        if mode == "weak":
            size /= point.threads
        rank_threads = point.threads // point.ranks if of_ranks else 0
        key = (point.name, point.architecture, point.network, size, rank_threads)
        sets.setdefault(key, {})[point.threads] = point
    return [
        Scaling(mode, _label(by[min(by)], of_ranks), tuple(by[count] for count in sorted(by)))
        for by in sets.values()
        if len(by) > 1
    ]


def _label(point: Point, of_ranks: bool) -> str:
    if not of_ranks:
        return point.label
    threads = point.threads // point.ranks
    return f"{point.label}, ranks of {threads} thread{'s' if threads != 1 else ''}"


def _paint(axes: Axes, mode: str, scalings: list[Scaling], labels: list[str], number: int) -> None:
    threads = sorted({p.threads for each in scalings for p in each.points})
    ranks = any(p.ranks > 1 for each in scalings for p in each.points)
    for each in scalings:
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
    ideal = [t / threads[0] for t in threads] if mode == "strong" else [1.0 for _ in threads]
    axes.plot(threads, ideal, color=GREY, linewidth=0.8, linestyle="--", label="ideal")
    axes.set_xscale("log", base=2)
    if mode == "strong":
        axes.set_yscale("log", base=2)
        axes.set_yticks(ideal, [f"{value:g}" for value in ideal])
    axes.set_xticks(threads, [str(each) for each in threads])
    axes.minorticks_off()
    axes.set_xlabel(
        f"{letter(number)} threads of all ranks, {mode} scaling"
        if ranks
        else f"{letter(number)} threads, {mode} scaling"
    )
    few = threads[0]
    over = f"{few} thread{'s' if few != 1 else ''}"
    axes.set_ylabel(f"speed-up over {over}" if mode == "strong" else f"efficiency over {over}")
    grid(axes, "both")


def _table(scalings: list[Scaling]) -> Table:
    rows = []
    for each in scalings:
        for point, (low, middle, high) in zip(each.points, each.values, strict=True):
            size = point.problem_inputs
            rows.append((each.label, each.mode, point.threads, size, middle, low, high))
    return Table(
        "Scaling over threads: speed-up (strong) and efficiency (weak: input rows grow with the "
        "threads); median, lowest and highest.",
        ("implementation", "scaling", "threads", "inputs", "value", "lowest", "highest"),
        tuple(rows),
    )
