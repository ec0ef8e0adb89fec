"""The figure of speed-up over the serial reference of the same record, on all machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from kkspdnn.figures.appearance import Style, machine_styles
from kkspdnn.figures.chart import Chart
from kkspdnn.figures.comparisons import comparisons_of_one_network
from kkspdnn.figures.hardware import Hardware, Machine, single_threaded
from kkspdnn.figures.points import Values, describe_problem
from kkspdnn.figures.read import Records, row_hardware
from kkspdnn.figures.style import draw_grid, error_bar, legend, write_title
from kkspdnn.figures.table import Cell, Table
from kkspdnn.records.comparison import Comparison, NetworkSize
from kkspdnn.records.published import Published, SpeedupRange

REFERENCE = "reference"
"""The name of the serial reference in a comparison."""

_CHARACTERS = 28
"""Of a line of a label, in one column."""


@dataclass(frozen=True)
class Speedup:
    """The speed-up of one implementation on one machine.

    date: of the record, such as 2026-01-31
    values: lowest, median and highest over the runs
    """

    label: str
    hardware: Hardware
    date: str
    inputs: int
    threads: int
    values: Values

    @property
    def is_own(self) -> bool:
        """Whether the implementation is kkspdnn."""
        return self.label.startswith("kkspdnn")


def chart(records: Records, published: Published) -> Chart | None:
    """Return the figure of comparisons with the reference on one network; None without them."""
    chosen = comparisons_of_one_network(records, REFERENCE)
    speedups = [each for comparison in chosen for each in _speedups(comparison.record)]
    if not speedups:
        return None
    network = chosen[0].record.network
    assert network is not None
    labels = order(speedups)

    def paint(figure: Figure, wide: bool) -> None:
        by_machine = machine_styles(records.machines)
        _paint(figure, wide, speedups, labels, published.speedup, by_machine)
        write_title(figure, wide, *_statement(network, speedups, published.speedup))

    machines = len({each.hardware for each in speedups})
    lines = sum(1 + fill(label, _CHARACTERS).count("\n") for label in labels)
    heights = 0.135 * lines + 1.3 + 0.14 * machines, 0.165 * len(labels) + 1.35
    sources = frozenset(each.path for each in chosen)
    table = _table(speedups, labels, network, published.speedup)
    printed = table.without("lowest", "highest")
    return Chart("speedup", sources, table, heights, paint, printed)


def _speedups(record: Comparison) -> list[Speedup]:
    assert record.network is not None
    edges = record.network.edges
    (serial,) = (row for row in record.measured if row.name == REFERENCE)
    found = []
    for row in record.measured:
        if row is serial:
            continue
        assert row.inputs is not None
        assert row.threads is not None
        low, middle, high = (rate / serial.rate(edges) for rate in row.rates(edges))
        hardware = row_hardware(record, row)
        # Some implementations have one thread only; the machine is the same.
        hardware = hardware if row.gpu else Hardware(hardware.machine, record.threads)
        values = (low, middle, high)
        found.append(
            Speedup(row.label, hardware, record.created[:10], row.inputs, row.threads, values)
        )
    return found


def order(speedups: Sequence[Speedup]) -> list[str]:
    """Return the labels by ascending speed-up, the highest over the machines."""
    best: dict[str, float] = {}
    for each in speedups:
        best[each.label] = max(best.get(each.label, 0.0), each.values[1])
    return sorted(best, key=lambda label: best[label])


def _statement(
    network: NetworkSize, speedups: Sequence[Speedup], published: SpeedupRange
) -> list[str]:
    threads = single_threaded((each.label, each.threads) for each in speedups)
    rows = f"up to {network.inputs:,}"
    return [
        describe_problem(network.neurons, network.layers, rows, network.dtype),
        f"over the serial reference (SciPy, 1 thread) on the same machine{threads}",
        "median; error bars: lowest to highest of the runs; bold, filled: kkspdnn",
        f"grey: published, {published.name} over its serial reference; {published.networks}",
    ]


def _paint(
    figure: Figure,
    wide: bool,
    speedups: Sequence[Speedup],
    labels: Sequence[str],
    published: SpeedupRange,
    styles: Mapping[Machine, Style],
) -> None:
    axes = figure.subplots()
    found = sorted({each.hardware for each in speedups})
    shift = 0.5 / len(found)
    for number, hardware in enumerate(found):
        offset = ((len(found) - 1) / 2 - number) * shift
        for each in speedups:
            if each.hardware == hardware:
                _draw(axes, each, labels.index(each.label) + offset, styles[hardware.machine])
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.axvline(1, color="black", linewidth=0.8)
    axes.axvspan(published.low, published.high, color="#dddddd", zorder=0, linewidth=0)
    axes.set_ylim(-0.7, len(labels) - 0.3)
    names = labels if wide else [fill(label, _CHARACTERS) for label in labels]
    axes.set_yticks(range(len(labels)), names, linespacing=1.0)
    axes.tick_params(axis="y", labelsize=6.5 if wide else 6, length=0)
    for text in axes.get_yticklabels():
        text.set_fontweight("bold" if text.get_text().startswith("kkspdnn") else "normal")
    axes.set_xlabel("speed-up over the serial reference" if wide else "speed-up")
    draw_grid(axes, "both")
    dates = {each.hardware: each.date for each in speedups}
    entries = {f"{each.title}, measured {dates[each]}": styles[each.machine] for each in found}
    legend(figure, entries, min(len(entries), 2 if wide else 1), lines=False)


def _draw(axes: Axes, speedup: Speedup, position: float, style: Style) -> None:
    axes.errorbar(
        speedup.values[1],
        position,
        xerr=error_bar(speedup.values),
        elinewidth=0.8,
        **(style.keywords() | {"linestyle": "none"} | ({} if speedup.is_own else _HOLLOW)),
    )


_HOLLOW = {"markerfacecolor": "white"}
"""Other implementations than kkspdnn."""


def _table(
    speedups: Sequence[Speedup],
    labels: Sequence[str],
    network: NetworkSize,
    published: SpeedupRange,
) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for label in reversed(labels):
        for each in speedups:
            if each.label == label:
                low, middle, high = each.values
                name = each.hardware.machine.short_name
                own = (label, name, each.date, each.threads, each.inputs)
                rows.append((*own, middle, low, high))
    for kind, value in (("lowest", published.low), ("highest", published.high)):
        label = f"published: {published.name}, {kind}"
        rows.append((label, None, None, None, None, value, None, None))
    return Table(
        f"Speed-up over the serial reference of the same record on {network.name} "
        f"({network.dtype}): median, lowest and highest of the runs over the reference's median. "
        f"Published, on other machines, {published.networks}: {published.source}.",
        (
            *("implementation", "machine", "measured", "threads", "inputs"),
            *("speed-up", "lowest", "highest"),
        ),
        tuple(rows),
    )
