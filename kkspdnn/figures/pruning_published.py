"""The figure of published results of pruned networks: perplexity, and speed-up over dense.

They are the results of other authors on their machine, beside those of `pruning_accuracy` and
`pruning_speed`.
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from kkspdnn.choices import METHODS
from kkspdnn.figures.appearance import GREY, Style, implementation_styles
from kkspdnn.figures.chart import Chart, PanelGrid
from kkspdnn.figures.direct_labels import label_ends
from kkspdnn.figures.read import Records
from kkspdnn.figures.style import draw_grid, log_ticks, write_title
from kkspdnn.figures.table import Cell, Table
from kkspdnn.records.published import Pruning, Published, Workload

_DRAWN_PERPLEXITIES = ("blocks of 8 x 8", "blocks of 50")
"""The blocks whose perplexities are drawn, which are closest to the measured ones: 8 x 8, and 30
blocks of the 1500 inputs of a neuron. The table has all of them."""

_GRID = PanelGrid(1, 2, (2.1, 2.5))


def chart(records: Records, published: Published) -> Chart | None:
    """Return the figure of published results, if there are records of python -m bench.balanced."""
    if not records.pruning_studies:
        return None
    results = published.pruning

    def paint(figure: Figure, wide: bool) -> None:
        for panel in _GRID.make(figure, wide, (_draw_perplexities, _draw_speedups)):
            panel.content(panel.axes, results, panel.height, panel.letter)
        write_title(
            figure, wide, f"published, not measured here: {results.name}, on {results.machine}"
        )

    return Chart("pruning-published", frozenset(), _table(results), _GRID.heights, paint)


def _published_styles() -> dict[str, Style]:
    """Return the appearance of the patterns: grey, with the markers of measured ones."""
    return {
        name: Style(GREY, style.marker, is_hollow=True)
        for name, style in implementation_styles(METHODS).items()
    }


def _draw_perplexities(axes: Axes, results: Pruning, height: float, letter: str) -> None:
    by_pattern = _published_styles()
    ends, by_label = {}, {}
    for each in results.perplexities:
        if each.parts in _DRAWN_PERPLEXITIES:
            values = {float(percent): value for percent, value in each.values.items()}
            label = f"{each.pattern}, {each.parts}"
            by_label[label] = by_pattern[each.pattern]
            axes.plot(
                list(values), list(values.values()), linewidth=0.8, **by_label[label].keywords()
            )
            ends[label] = max(values), values[max(values)]
    axes.set_title(f"{letter} LSTM, language model on PTB")
    axes.set_xlabel("sparsity (%)")
    axes.set_ylabel("perplexity (lower is better)")
    axes.xaxis.set_major_locator(MultipleLocator(10))
    draw_grid(axes, "both")
    label_ends(axes, height, ends, by_label, 14)


def _draw_speedups(axes: Axes, results: Pruning, height: float, letter: str) -> None:
    ends: dict[str, tuple[float, float]] = {}
    by_pattern = _published_styles()
    last = len(results.workloads) - 1
    for pattern in METHODS:
        values = [each.speedups()[pattern] for each in results.workloads]
        style = by_pattern[pattern].keywords() | {"linestyle": "none"}
        axes.plot(range(len(values)), values, **style)
        ends[pattern] = float(last), values[last]
    axes.set_yscale("log")
    axes.margins(y=0.15)
    axes.axhline(1, color="black", linewidth=0.8)
    names = [_workload_label(each) for each in results.workloads]
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(axis="x", labelsize=6)
    log_ticks(axes.yaxis)
    axes.set_title(f"{letter} time of one inference")
    axes.set_xlabel("% pruned: balanced, unstructured, block")
    axes.set_ylabel("speed-up over dense")
    draw_grid(axes, "both")
    label_ends(axes, height, ends, by_pattern, 14)


def _workload_label(workload: Workload) -> str:
    """Return the name and the percentages that are pruned, in the order of METHODS."""
    sparsities = {each.pattern: each.sparsity for each in workload.times}
    return "\n".join([workload.name, *(f"{100 * sparsities[each]:.0f}" for each in METHODS)])


def _table(results: Pruning) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for each in results.perplexities:
        for text, value in each.values.items():
            label = f"{each.pattern}, {each.parts}"
            rows.append(("perplexity", "LSTM", label, float(text), value))
    for workload in results.workloads:
        values = workload.speedups()
        for time in workload.times[1:]:
            percent = round(100 * time.sparsity, 1)
            rows.append(("speed-up", workload.name, time.pattern, percent, values[time.pattern]))
    return Table(
        f"Published results of pruned networks, on {results.machine}: {results.source}. VGG-16 "
        "classifies images, fc6 to fc8 are its last layers, LSTM models language, CTC recognises "
        "speech; perplexity is that of the LSTM, speed-up is over dense.",
        ("value", "network", "pattern", "sparsity (%)", "published"),
        tuple(rows),
    )
