"""How all figures look: print sizes, and marks that the colour-blind and grey printers tell apart.

Colours are those of Okabe and Ito ("Color Universal Design", 2008) without yellow; no two things
are told apart by colour alone.
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
"""Inches: one column and two columns of an IEEE or ACM page."""

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
    # whole TrueType fonts: what publishers ask for
    "pdf.fonttype": 42,
    "svg.hashsalt": "kkspdnn",
}


@dataclass(frozen=True)
class Chart:
    """
    A figure that has not been drawn yet, and its table.

    name: of its files; heights: inches, for one and two columns
    paint: fills an empty figure; told whether it is two columns wide
    """

    name: str
    table: Table
    heights: tuple[float, float]
    paint: Callable[[Figure, bool], None]

    def figure(self, width: str) -> Figure:
        """Drawn for a width of WIDTHS, within `settings`."""
        wide = width == "2col"
        figure = Figure(figsize=(WIDTHS[width], self.heights[wide]), layout="constrained")
        self.paint(figure, wide)
        return figure


def pictures(name: str, figure: Figure) -> dict[str, bytes]:
    """NAME.pdf and NAME.png of a figure; the same figure gives the same files."""
    files = {}
    for kind in ("pdf", "png"):
        buffer = BytesIO()
        metadata = {"CreationDate": None} if kind == "pdf" else None
        figure.savefig(buffer, format=kind, metadata=metadata)
        files[f"{name}.{kind}"] = buffer.getvalue()
    return files


def turned(place: int) -> int:
    """The number of the marker, line or hatch that goes with colour number `place`: where colours
    begin again, these are one further on."""
    return place + place // len(COLOURS)


@contextmanager
def settings() -> Iterator[None]:
    """These settings instead of the user's."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def spread(values: tuple[float, float, float]) -> list[list[float]]:
    """Error bars from lowest, middle and highest value."""
    low, middle, high = values
    return [[middle - low], [high - middle]]


def grid(axes: Axes, axis: Literal["both", "x", "y"]) -> None:
    """Thin lines behind the data, along one axis."""
    axes.grid(visible=True, axis=axis, which="major", color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)


def panels(figure: Figure, count: int, wide: bool) -> list[Axes]:
    """So many panels: up to three side by side where there is room."""
    columns = min(count, 3) if wide else 1
    made = list(figure.subplots(-(-count // columns), columns, squeeze=False).ravel())
    for spare in made[count:]:
        spare.remove()
    return made[:count]


def legend(figure: Figure, columns: int, place: str = "outside lower center") -> None:
    """One legend for all panels, each label once."""
    found: dict[str, Any] = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    figure.legend(found.values(), found.keys(), loc=place, ncols=columns, handlelength=3)


def log_ticks(axis: Axis) -> None:
    """Labels at 1, 2 and 5 of each decade where an axis has few decades, else at 1."""
    low, high = axis.get_view_interval()
    subs = (1.0, 2.0, 5.0) if high / low < 100 else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_minor_locator(NullLocator())
    if len(subs) > 1:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def letter(place: int) -> str:
    """The name of a panel."""
    return f"({'abcdefgh'[place]})"
