"""Labels beside the ends of curves, instead of a legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation, Transform

_KEY, _TEXT = 14.0, 20.0
"""Distances of the marker and of the text from the panel, in points."""


def spread_positions(positions: Sequence[float], gap: float) -> list[float]:
    """Return ascending positions that are at least `gap` apart, close to the given ascending ones.

    The sum of the squared displacements is minimal (isotonic regression).
    """
    groups: list[list[float]] = []
    for index, position in enumerate(positions):
        groups.append([position - index * gap])
        while len(groups) > 1 and _mean(groups[-2]) > _mean(groups[-1]):
            last = groups.pop()
            groups[-1] += last
    levels = [_mean(group) for group in groups for _ in group]
    return [level + index * gap for index, level in enumerate(levels)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def label_ends(
    axes: Axes,
    ends: Mapping[str, tuple[float, float]],
    styles: Mapping[str, Mapping[str, Any]],
    gap: float,
) -> None:
    """Write the label of each curve right of the panel, with its marker and a line to its end.

    ends: the last point of each curve by its label, in data coordinates. The limits of the axes
    must be final
    styles: marker, colour and the like of each curve, as `Axes.plot` expects them
    gap: distance of neighbouring labels in axes heights
    """
    to_axes = axes.transData + axes.transAxes.inverted()
    heights = {label: float(to_axes.transform(end)[1]) for label, end in ends.items()}
    labels = sorted(heights, key=lambda label: heights[label])
    places = spread_positions([heights[label] for label in labels], gap)
    key, text = _right_of(axes, _KEY), _right_of(axes, _TEXT)
    for label, place in zip(labels, places, strict=True):
        axes.annotate(
            "",
            ends[label],
            (1, place),
            textcoords=key,
            arrowprops={
                "arrowstyle": "-",
                "color": styles[label]["color"],
                "linewidth": 0.5,
                "shrinkA": 0,
                "shrinkB": 2,
            },
        )
        axes.plot(1, place, transform=key, clip_on=False, **styles[label])
        axes.annotate(label, (1, place), xycoords=text, fontsize=6.5, va="center_baseline")


def _right_of(axes: Axes, points: float) -> Transform:
    """Return the transform of axes coordinates that are moved to the right."""
    figure = axes.get_figure()
    assert figure is not None
    return axes.transAxes + ScaledTranslation(points / 72, 0, figure.dpi_scale_trans)
