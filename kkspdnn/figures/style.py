"""The style of all figures: sizes for print, titles, grids, panels and axes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from textwrap import wrap
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from kkspdnn.figures.appearance import Style
from kkspdnn.figures.points import Values

WIDTHS = {"1col": 3.5, "2col": 7.16}
"""Widths in inches: one column and two columns of an IEEE or ACM page."""

MAX_HEIGHT = 9.0
"""Inches, of a page without the caption."""

_CHARACTERS = 66, 132
"""Of a line of the title, for one column and two columns."""

_SETTINGS: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.size": 8,
    "axes.labelsize": 7.5,
    "axes.titlesize": 7.5,
    "axes.titlelocation": "left",
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "errorbar.capsize": 2,
    "figure.dpi": 300,
    "savefig.dpi": 300,
    # embedded TrueType fonts, as publishers require
    "pdf.fonttype": 42,
    "svg.hashsalt": "kkspdnn",
}


@contextmanager
def settings() -> Iterator[None]:
    """Replace the user's Matplotlib settings inside the block."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def pictures(name: str, figure: Figure) -> dict[str, bytes]:
    """Return NAME.pdf and NAME.png of a figure, by file name; the bytes are reproducible."""
    files = {}
    for suffix in ("pdf", "png"):
        buffer = BytesIO()
        metadata = {"CreationDate": None} if suffix == "pdf" else None
        figure.savefig(buffer, format=suffix, metadata=metadata)
        files[f"{name}.{suffix}"] = buffer.getvalue()
    return files


def write_title(figure: Figure, wide: bool, *sentences: str) -> None:
    """Write above the panels what is drawn: network, dtype, hardware and error bars.

    Long sentences are broken between their clauses, which semicolons separate.
    """
    lines = [line for each in sentences for line in _broken(each, _CHARACTERS[wide])]
    figure.suptitle("\n".join(lines), fontsize=6.5, linespacing=1.25)


def _broken(sentence: str, characters: int) -> list[str]:
    lines: list[str] = []
    for clause in sentence.split("; "):
        joined = f"{lines[-1]}; {clause}" if lines else clause
        if lines and len(joined) <= characters:
            lines[-1] = joined
        else:
            lines += wrap(clause, characters)
    return lines


def draw_grid(axes: Axes, axis: Literal["both", "x", "y"]) -> None:
    """Draw a grid behind the data, along one axis or both."""
    axes.grid(visible=True, axis=axis, which="major", color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)


def error_bar(values: Values) -> list[list[float]]:
    """Return the error bar of a lowest, middle and highest value, as errorbar expects it."""
    low, middle, high = values
    return [[middle - low], [high - middle]]


def curve_end(values: Mapping[float, Values]) -> tuple[float, float]:
    """Return the last point of a curve: the largest x with its middle value."""
    last = max(values)
    return last, values[last][1]


def draw_curve(
    axes: Axes,
    values: Mapping[int, Values] | Mapping[float, Values],
    style: Style,
    size: float = 3.5,
    width: float = 1.1,
) -> None:
    """Draw a curve of middle values, with error bars from the lowest to the highest.

    Values of one measurement have no error bar.
    """
    middle = [value for _, value, _ in values.values()]
    bars = [(mid - low, high - mid) for low, mid, high in values.values()]
    several = any(below or above for below, above in bars)
    axes.errorbar(
        list(values),
        middle,
        yerr=[[below for below, _ in bars], [above for _, above in bars]] if several else None,
        linewidth=width,
        elinewidth=0.7,
        capsize=1.5,
        **style.keywords(size),
    )


def legend(figure: Figure, styles: Mapping[str, Style], columns: int, lines: bool = True) -> None:
    """Add a legend below the panels.

    styles: by label
    lines: whether the entries have a line through the marker
    """
    entries = [
        matplotlib.lines.Line2D(
            [], [], linewidth=1.1, **(style.keywords() | ({} if lines else {"linestyle": "none"}))
        )
        for style in styles.values()
    ]
    figure.legend(
        entries,
        list(styles),
        loc="outside lower center",
        ncols=columns,
        handlelength=2.2 if lines else 1.0,
        columnspacing=1.2,
    )


def log_ticks(axis: Axis, span: float = 100) -> None:
    """Label 1, 2 and 5 of each decade if the axis spans less than a factor of `span`, else 1."""
    low, high = axis.get_view_interval()
    subs = (1.0, 2.0, 5.0) if high / low < span else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_minor_locator(NullLocator())
    if len(subs) > 1:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def tick_numbers(axis: Axis, values: Iterable[float], factor: float = 1.9) -> None:
    """Set ticks at these values of a logarithmic axis.

    factor: between two ticks with labels, at least: closer labels would overlap
    """
    ticks = sorted(set(values))
    labels, last = [], 0.0
    for tick in ticks:
        is_far = tick >= factor * last
        labels.append((f"{tick:g}" if tick < 1 else f"{tick:,.0f}") if is_far else "")
        last = tick if is_far else last
    axis.set_ticks(ticks, labels)
    axis.set_minor_locator(NullLocator())


def letter(index: int) -> str:
    """Return the name of a panel, such as (a)."""
    return f"({chr(ord('a') + index)})"
