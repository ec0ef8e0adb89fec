"""Positions of labels beside curves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kkspdnn.figures.direct_labels import spread_positions


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        ([], []),
        ([0.1, 0.5, 0.9], [0.1, 0.5, 0.9]),
        ([0.5, 0.5], [0.4, 0.6]),
        ([0.1, 0.5, 0.5, 0.5], [0.1, 0.3, 0.5, 0.7]),
        ([0.0, 0.3, 0.4], [0.0, 0.25, 0.45]),
    ],
)
def test_labels_keep_a_distance(positions: list[float], expected: list[float]) -> None:
    assert spread_positions(positions, [0.2] * len(positions)) == pytest.approx(expected)


def test_a_label_of_two_lines_needs_more_room() -> None:
    assert spread_positions([0.5, 0.5], [0.2, 0.4]) == pytest.approx([0.35, 0.65])


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 0.2)), max_size=8))
def test_labels_neither_overlap_nor_leave_the_limits(labels: list[tuple[float, float]]) -> None:
    positions = sorted(position for position, _ in labels)
    heights = [height for _, height in labels]
    found = spread_positions(positions, heights, (0.0, 1.0))
    edges = [(p - h / 2, p + h / 2) for p, h in zip(found, heights, strict=True)]
    for (_, top), (bottom, _) in zip(edges, edges[1:], strict=False):
        assert top <= bottom + 1e-9
    if edges and sum(heights) <= 1:
        assert edges[0][0] >= -1e-9
        assert edges[-1][1] <= 1 + 1e-9
