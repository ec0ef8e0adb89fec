"""The figure of speed-up over the serial reference of the same record."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from kkspdnn.figures.points import REFERENCE, Records, largest_comparison
from kkspdnn.figures.style import COLOURS, GREY, Chart, grid, legend
from kkspdnn.figures.table import Cell, Table
from kkspdnn.records.comparison import Comparison, PeerResult
from kkspdnn.records.published import Published, SpeedupRange


def chart(records: Records, published: Published) -> Chart | None:
    """Return the figure of the largest comparison with the reference; None without one."""
    chosen = largest_comparison(records)
    if chosen is None or len(chosen.measured) < 2:
        return None
    assert chosen.network is not None
    edges = chosen.network.edges
    (serial,) = (row for row in chosen.measured if row.name == REFERENCE)
    base = serial.rate(edges)
    rows = sorted((r for r in chosen.measured if r is not serial), key=lambda r: r.rate(edges))
    values = [(row, [rate / base for rate in row.rates(edges)]) for row in rows]

    def paint(figure: Figure, wide: bool) -> None:
        _paint(figure, wide, values, published.speedup, _title(chosen))

    height = 0.17 * len(rows) + 1.1
    return Chart("speedup", _table(values, published.speedup), (height, height), paint)


def _title(record: Comparison) -> str:
    network = record.network
    assert network is not None
    return (
        f"over the serial reference: {network.neurons}-{network.layers}, {network.dtype}\n"
        f"{record.machine}, {record.threads} threads"
    )


def _paint(
    figure: Figure,
    wide: bool,
    values: list[tuple[PeerResult, list[float]]],
    published: SpeedupRange,
    title: str,
) -> None:
    axes = figure.subplots()
    for position, (row, (low, middle, high)) in enumerate(values):
        is_kkspdnn = row.label.startswith("kkspdnn")
        axes.hlines(position, 1, middle, colors=COLOURS[0] if is_kkspdnn else GREY, linewidth=1.5)
        axes.errorbar(
            middle,
            position,
            xerr=[[middle - low], [high - middle]],
            marker="o" if is_kkspdnn else "s",
            color=COLOURS[0] if is_kkspdnn else GREY,
            markerfacecolor=COLOURS[0] if is_kkspdnn else "white",
            linestyle="none",
            elinewidth=0.8,
            label="kkspdnn" if is_kkspdnn else "others",
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.axvline(1, color="black", linewidth=0.8)
    for number, value in enumerate((published.low, published.high)):
        axes.axvline(
            value,
            color=COLOURS[5],
            linestyle=("--", ":")[number],
            linewidth=1,
            label=f"published: KK-SpDNN 2019, {('lowest', 'highest')[number]} ({value:g}x)",
        )
    axes.set_yticks(range(len(values)), [row.label for row, _ in values])
    axes.tick_params(axis="y", labelsize=6.5)
    axes.set_ylim(-0.7, len(values) - 0.3)
    axes.set_xlabel("speed-up")
    figure.suptitle(title, fontsize=7)
    legend(figure, 2 if wide else 1)
    grid(axes, "x")


def _table(values: list[tuple[PeerResult, list[float]]], published: SpeedupRange) -> Table:
    rows: list[tuple[Cell, ...]]
    rows = [(r.label, r.threads, r.inputs, mid, low, high) for r, (low, mid, high) in values]
    rows += [
        ("published: KK-SpDNN 2019, lowest", None, None, published.low, None, None),
        ("published: KK-SpDNN 2019, highest", None, None, published.high, None, None),
    ]
    return Table(
        "Speed-up over the serial reference: median, lowest and highest of the runs over the "
        f"reference's median. Published, on other machines: {published.source}.",
        ("implementation", "threads", "inputs", "speed-up", "lowest", "highest"),
        tuple(rows),
    )
