"""Labels beside the ends of curves, instead of a legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation, Transform

from kkspdnn.figures.appearance import Style

_KEY, _TEXT = 12.0, 17.0
"""Distances of the marker and of the text from the panel, in points."""

_LINE = 0.108
"""Inches of a line of text."""


def spread_positions(
    positions: Sequence[float], heights: Sequence[float], limits: tuple[float, float] | None = None
) -> list[float]:
    """Return ascending centres for labels that do not overlap, close to the given ascending ones.

    heights: of the labels
    limits: of all labels; if they do not fit, they extend beyond both limits

    The sum of the squared displacements is minimal (isotonic regression).
    """
    if not positions:
        return []
    offsets = [0.0]
    for above, below in zip(heights[1:], heights, strict=False):
        offsets.append(offsets[-1] + (above + below) / 2)
    groups: list[list[float]] = []
    for position, offset in zip(positions, offsets, strict=True):
        groups.append([position - offset])
        while len(groups) > 1 and _mean(groups[-2]) > _mean(groups[-1]):
            last = groups.pop()
            groups[-1] += last
    levels = [_mean(group) for group in groups for _ in group]
    if limits is not None:
        low, high = limits[0] + heights[0] / 2, limits[1] - heights[-1] / 2 - offsets[-1]
        middle = (low + high) / 2
        low, high = min(low, middle), max(high, middle)
        levels = [min(max(level, low), high) if low <= high else middle for level in levels]
    return [level + offset for level, offset in zip(levels, offsets, strict=True)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def label_ends(
    axes: Axes,
    height: float,
    ends: Mapping[str, tuple[float, float]],
    styles: Mapping[str, Style],
    characters: int,
) -> None:
    """Write the label of each curve right of the panel; a dotted line leads to its end.

    height: of the axes, in inches
    ends: the last point of each curve by its label, in data coordinates. All curves must be drawn
    styles: by label
    characters: maximum length of a line of a label
    """
    axes.autoscale_view()
    to_axes = axes.transData + axes.transAxes.inverted()
    heights = {label: float(to_axes.transform(end)[1]) for label, end in ends.items()}
    labels = sorted(heights, key=lambda label: heights[label])
    texts = [fill(label, characters) for label in labels]
    sizes = [(_LINE * (1 + text.count("\n")) + 0.01) / height for text in texts]
    positions = spread_positions([heights[label] for label in labels], sizes, (-0.15, 1.1))
    key, beside = _right_of(axes, _KEY), _right_of(axes, _TEXT)
    for label, text, position in zip(labels, texts, positions, strict=True):
        style = styles[label]
        axes.annotate(
            "",
            ends[label],
            (1, position),
            textcoords=key,
            arrowprops={
                "arrowstyle": "-",
                "color": style.colour,
                "linewidth": 0.6,
                "linestyle": (0, (1, 2)),
                "shrinkA": 0,
                "shrinkB": 2,
            },
        )
        sign = style if style.marker else replace(style, marker="_")
        axes.plot(1, position, transform=key, clip_on=False, **sign.keywords(3.5))
        axes.annotate(
            text, (1, position), xycoords=beside, fontsize=6.5, va="center", linespacing=1.0
        )


def _right_of(axes: Axes, points: float) -> Transform:
    """Return the transform of axes coordinates that are moved to the right."""
    figure = axes.get_figure()
    assert figure is not None
    return axes.transAxes + ScaledTranslation(points / 72, 0, figure.dpi_scale_trans)
