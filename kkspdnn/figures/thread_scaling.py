"""The figure of strong and weak scaling over threads and over MPI ranks, on all machines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kkspdnn.figures.appearance import GREY, implementation_styles
from kkspdnn.figures.chart import Chart, PanelGrid, machine_panels
from kkspdnn.figures.direct_labels import label_ends
from kkspdnn.figures.hardware import Machine
from kkspdnn.figures.points import Point, Values, of_common_dtype, sources_of
from kkspdnn.figures.read import Records
from kkspdnn.figures.style import curve_end, draw_curve, draw_grid, write_title
from kkspdnn.figures.table import Table
from kkspdnn.records.published import Published
from kkspdnn.units import plural

MIN_THREADS = 8
"""The threads that some machine must have for a figure: a curve of fewer has too few points."""

_PANEL_HEIGHTS = 1.9, 2.3


@dataclass(frozen=True)
class Scaling:
    """The scaling of one implementation on one machine.

    mode: strong (the same problem: speed-up over the fewest threads) or weak (input rows in
    proportion to threads: efficiency relative to the fewest threads)
    label: of the implementation, with the threads of each rank
    points: in ascending order of threads
    """

    mode: str
    label: str
    points: tuple[Point, ...]

    @property
    def machine(self) -> Machine:
        """The machine."""
        return self.points[0].machine

    @property
    def values(self) -> dict[float, Values]:
        """The lowest, median and highest value over the first point's median, by threads."""
        first = self.points[0]
        values: dict[float, Values] = {}
        for point in self.points:
            factor = 1 if self.mode == "strong" else first.threads / point.threads
            low, middle, high = (factor * rate / first.rate for rate in point.rates)
            values[point.threads] = low, middle, high
        return values


def chart(records: Records, published: Published) -> Chart | None:
    """Return the figure of points that differ only in threads, or in ranks of equal threads.

    None without such points; a table alone if no machine has MIN_THREADS.
    """
    scalings = thread_scalings(records)
    if not scalings:
        return None
    points = [point for each in scalings for point in each.points]

    def paint(figure: Figure, wide: bool) -> None:
        _paint(figure, wide, scalings)

    heights = _arranged(scalings)[0].heights
    drawn = Chart("threads", sources_of(points), _table(scalings), heights, paint)
    enough = max(point.threads for point in points) >= MIN_THREADS
    return drawn if enough else drawn.without_figure()


def thread_scalings(records: Records) -> list[Scaling]:
    """Return all scalings: by machine, strong before weak."""
    everything = (*records.points, *records.of_ranks)
    with_ranks = of_common_dtype(p for p in everything if not p.machine.is_gpu)
    alone = [p for p in with_ranks if p.ranks == 1]
    found = []
    for mode in ("strong", "weak"):
        found += [*_scalings(alone, mode), *_scalings(with_ranks, mode, of_ranks=True)]
    return sorted(found, key=lambda each: (each.machine, each.mode))


def _scalings(points: Iterable[Point], mode: str, of_ranks: bool = False) -> list[Scaling]:
    sets: dict[tuple[object, ...], dict[int, Point]] = {}
    for point in points:
        # A rate measured on fewer rows counts as that of all rows.
        size: float = point.problem_inputs
        if mode == "weak":
            size /= point.threads
        rank_threads = point.threads // point.ranks if of_ranks else 0
        key = (point.name, point.machine, point.network, size, rank_threads)
        sets.setdefault(key, {})[point.threads] = point
    return [
        Scaling(mode, _label(by[min(by)], of_ranks), tuple(by[number] for number in sorted(by)))
        for by in sets.values()
        if len(by) > 1
    ]


def _label(point: Point, of_ranks: bool) -> str:
    if not of_ranks:
        return point.label
    return f"{point.label}, ranks of {plural(point.threads // point.ranks, 'thread')}"


def _arranged(
    scalings: Sequence[Scaling],
) -> tuple[PanelGrid, list[tuple[Scaling, ...] | None]]:
    panels: dict[tuple[Machine, str], list[Scaling]] = {}
    for each in scalings:
        panels.setdefault((each.machine, each.mode), []).append(each)
    contents = [tuple(each) for each in panels.values()]
    modes = ("strong", "weak")
    return machine_panels(
        contents, lambda c: c[0].machine, lambda c: c[0].mode, modes, _PANEL_HEIGHTS
    )


def _paint(figure: Figure, wide: bool, scalings: Sequence[Scaling]) -> None:
    panel_grid, contents = _arranged(scalings)
    for panel in panel_grid.make(figure, wide, contents):
        first = panel.content[0]
        panel.axes.set_title(panel.title(f"{first.machine.short_name}: {first.mode} scaling"))
        _draw(panel.axes, first.mode, panel.content, panel.height)
    networks = sorted({p.network for each in scalings for p in each.points})
    write_title(
        figure,
        wide,
        f"RadiX-Net networks {', '.join(networks)} (neurons-layers), {scalings[0].points[0].dtype}",
        "median; error bars: lowest to highest of the runs, if several",
    )


def _draw(axes: Axes, mode: str, scalings: Sequence[Scaling], height: float) -> None:
    threads = sorted({p.threads for each in scalings for p in each.points})
    by_name = implementation_styles(each.points[0].name for each in scalings)
    ends = {}
    for each in scalings:
        values = each.values
        draw_curve(axes, values, by_name[each.points[0].name])
        ends[each.label] = curve_end(values)
    ideal = [t / threads[0] for t in threads] if mode == "strong" else [1.0 for _ in threads]
    axes.plot(threads, ideal, color=GREY, linewidth=0.8, linestyle="--")
    axes.annotate("ideal", (threads[0], ideal[0]), fontsize=6, color=GREY, va="bottom")
    axes.set_xscale("log", base=2)
    if mode == "strong":
        axes.set_yscale("log", base=2)
        axes.set_yticks(ideal, [f"{value:g}" for value in ideal])
    axes.set_xticks(threads, [str(each) for each in threads])
    axes.minorticks_off()
    ranks = any(p.ranks > 1 for each in scalings for p in each.points)
    axes.set_xlabel("threads of all ranks" if ranks else "threads")
    over = plural(threads[0], "thread")
    axes.set_ylabel(f"speed-up over {over}" if mode == "strong" else f"efficiency over {over}")
    draw_grid(axes, "both")
    by_label = {each.label: by_name[each.points[0].name] for each in scalings}
    label_ends(axes, height, ends, by_label, 20)


def _table(scalings: Sequence[Scaling]) -> Table:
    rows = []
    for each in scalings:
        values = each.values.values()
        for point, (low, middle, high) in zip(each.points, values, strict=True):
            problem = point.network, point.problem_inputs
            name = each.machine.short_name
            rows.append((name, each.label, each.mode, point.threads, *problem, middle, low, high))
    return Table(
        "Scaling over threads: speed-up (strong) and efficiency (weak: input rows grow with the "
        f"threads) over the fewest threads, {scalings[0].points[0].dtype}; median, lowest and "
        "highest of the runs.",
        (
            *("machine", "implementation", "scaling", "threads", "network", "inputs"),
            *("value", "lowest", "highest"),
        ),
        tuple(rows),
    )
