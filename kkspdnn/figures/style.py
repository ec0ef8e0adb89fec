"""The style of all figures: sizes for print, colours, markers, hatches and lines.

The colours are those of Okabe and Ito ("Color Universal Design", 2008) without yellow. Curves and
bars differ in marker, line or hatch as well, for colour-blind readers and grey printers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from kkspdnn.figures.table import Table

WIDTHS = {"1col": 3.5, "2col": 7.16}
"""Widths in inches: one column and two columns of an IEEE or ACM page."""

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#999999")
HATCHES = ("", "////", "....", "\\\\\\\\", "xxxx", "----", "++++", "oooo")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", ":", "-.", (0, (3, 1, 1, 1, 1, 1)), (0, (5, 1)), (0, (1, 1)), (0, (8, 2)))
GREY = "#555555"

_SETTINGS: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "hatch.linewidth": 0.5,
    "errorbar.capsize": 2,
    "figure.dpi": 300,
    "savefig.dpi": 300,
    # embedded TrueType fonts, as publishers require
    "pdf.fonttype": 42,
    "svg.hashsalt": "kkspdnn",
}


@dataclass(frozen=True)
class Chart:
    """A figure that is drawn on demand, and its table.

    name: the stem of its file names
    heights: in inches, for one column and two columns
    paint: draws into an empty figure; its second argument is True for two columns
    """

    name: str
    table: Table
    heights: tuple[float, float]
    paint: Callable[[Figure, bool], None]

    def figure(self, width: str) -> Figure:
        """Draw the figure for a width of WIDTHS; to be called within `settings`."""
        wide = width == "2col"
        figure = Figure(figsize=(WIDTHS[width], self.heights[wide]), layout="constrained")
        self.paint(figure, wide)
        return figure


def pictures(name: str, figure: Figure) -> dict[str, bytes]:
    """Return NAME.pdf and NAME.png of a figure, by file name; the bytes are reproducible."""
    files = {}
    for suffix in ("pdf", "png"):
        buffer = BytesIO()
        metadata = {"CreationDate": None} if suffix == "pdf" else None
        figure.savefig(buffer, format=suffix, metadata=metadata)
        files[f"{name}.{suffix}"] = buffer.getvalue()
    return files


def shifted(index: int) -> int:
    """Return the index of the marker, line or hatch for colour number `index`.

    It is shifted by one each time the colours repeat, so that all pairs differ.
    """
    return index + index // len(COLOURS)


@contextmanager
def settings() -> Iterator[None]:
    """Replace the user's Matplotlib settings inside the block."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def spread(values: tuple[float, float, float]) -> list[list[float]]:
    """Return the error bars of a lowest, middle and highest value, as errorbar expects them."""
    low, middle, high = values
    return [[middle - low], [high - middle]]


def grid(axes: Axes, axis: Literal["both", "x", "y"]) -> None:
    """Draw a grid behind the data, along one axis or both."""
    axes.grid(visible=True, axis=axis, which="major", color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)


def panels(figure: Figure, count: int, wide: bool) -> list[Axes]:
    """Return `count` panels, up to three side by side in a wide figure."""
    columns = min(count, 3) if wide else 1
    axes = list(figure.subplots(-(-count // columns), columns, squeeze=False).ravel())
    for unused in axes[count:]:
        unused.remove()
    return axes[:count]


def legend(figure: Figure, columns: int, location: str = "outside lower center") -> None:
    """Add one legend for all panels, with each label once."""
    entries: dict[str, Any] = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    figure.legend(entries.values(), entries.keys(), loc=location, ncols=columns, handlelength=3)


def log_ticks(axis: Axis, span: float = 100) -> None:
    """Label 1, 2 and 5 of each decade if the axis spans less than a factor of `span`, else 1."""
    low, high = axis.get_view_interval()
    subs = (1.0, 2.0, 5.0) if high / low < span else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_minor_locator(NullLocator())
    if len(subs) > 1:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def letter(index: int) -> str:
    """Return the name of a panel, such as (a)."""
    return f"({'abcdefgh'[index]})"
