"""The figure of inference time against layers, neurons and input rows."""

from __future__ import annotations

from collections import Counter

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from kkspdnn.figures.points import Point, Records
from kkspdnn.figures.style import (
    COLOURS,
    LINES,
    MARKERS,
    Chart,
    grid,
    legend,
    letter,
    log_ticks,
    panels,
    spread,
)
from kkspdnn.figures.table import Table
from kkspdnn.records.published import Published

_NAMES = ("spgemm", "none", "dead", "all", "fold")
_AXES = ("layers", "neurons", "problem_inputs")
_AXIS_LABELS = {"layers": "layers", "neurons": "neurons per layer", "problem_inputs": "input rows"}


def chart(records: Records, published: Published) -> Chart | None:
    """Return the figure for the machine and threads with the most points of kkspdnn.

    Only points with all input rows of their problem are used, because only their times are
    comparable. None if no size varies.
    """
    own_points = [p for p in records.points if p.name in _NAMES and p.inputs == p.problem_inputs]
    if not own_points:
        return None
    (hardware, _), *_ = Counter((p.architecture, p.threads) for p in own_points).most_common(1)
    own_points = [p for p in own_points if (p.architecture, p.threads) == hardware]
    curves = {axis: _curves(own_points, axis) for axis in _AXES}
    if not any(curves.values()):
        return None

    def paint(figure: Figure, wide: bool) -> None:
        _paint(figure, wide, {axis: lines for axis, lines in curves.items() if lines})

    count = sum(map(bool, curves.values()))
    return Chart("size", _table(curves), (1.7 * count + 0.5, 2.5), paint)


def _curves(points: list[Point], axis: str) -> dict[str, list[Point]]:
    """Return points that differ only in this size, by label: the largest such set."""
    others = [each for each in _AXES if each != axis]
    sets: dict[tuple[int, ...], dict[str, list[Point]]] = {}
    for point in points:
        key = tuple(getattr(point, each) for each in others)
        sets.setdefault(key, {}).setdefault(point.label, []).append(point)
    candidates = []
    for by_label in sets.values():
        curves = {
            label: sorted(line, key=lambda p: int(getattr(p, axis)))
            for label, line in by_label.items()
            if len({getattr(p, axis) for p in line}) > 1
        }
        candidates.append(curves)
    return max(candidates, key=lambda curves: sum(map(len, curves.values())))


def _paint(figure: Figure, wide: bool, curves: dict[str, dict[str, list[Point]]]) -> None:
    drawn = panels(figure, len(curves), wide)
    labels = list(dict.fromkeys(label for lines in curves.values() for label in lines))
    for number, (axis, lines) in enumerate(curves.items()):
        axes = drawn[number]
        for label, line in lines.items():
            style = labels.index(label)
            for point in line:
                axes.errorbar(
                    getattr(point, axis),
                    point.times[1],
                    yerr=spread(point.times) if len(point.seconds) > 1 else None,
                    color=COLOURS[style],
                    linestyle="none",
                    elinewidth=0.8,
                )
            axes.plot(
                [getattr(p, axis) for p in line],
                [p.times[1] for p in line],
                color=COLOURS[style],
                marker=MARKERS[style],
                linestyle=LINES[style],
                label=label,
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        ticks = sorted({int(getattr(p, axis)) for line in lines.values() for p in line})
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
        log_ticks(axes.yaxis)
        axes.set_xlabel(f"{letter(number)} {_AXIS_LABELS[axis]}")
        if number == 0 or not wide:
            axes.set_ylabel("inference time (s)")
        grid(axes, "both")
    legend(figure, 3 if wide else 1)


def _table(curves: dict[str, dict[str, list[Point]]]) -> Table:
    points = {p: None for lines in curves.values() for line in lines.values() for p in line}
    rows = []
    for p in sorted(points, key=lambda p: (p.label, p.neurons, p.layers, p.inputs)):
        low, middle, high = p.times
        rows.append((p.label, p.neurons, p.layers, p.inputs, middle, low, high))
    return Table(
        "Inference time in seconds: median, shortest and longest of the runs.",
        ("implementation", "neurons", "layers", "inputs", "time (s)", "shortest", "longest"),
        tuple(rows),
    )
