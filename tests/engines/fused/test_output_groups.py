"""Groups of output neurons with the same inputs."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kkspdnn.engines.fused.output_groups import GROUP_SIZE, find_groups
from kkspdnn.model.layers import Layer


def layer_of(inputs: list[list[int]]) -> Layer:
    """Return a layer with these inputs of each output neuron, and different weights."""
    w = np.zeros((max([0, *(i for row in inputs for i in row)]) + 1, len(inputs)), np.float32)
    for n, row in enumerate(inputs):
        w[row, n] = np.arange(1, len(row) + 1) + n * 100
    return Layer.from_sparse(w, 0.0)


def ordered(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """Return the offsets of the outputs in the order of the layer, and the numbers of its edges."""
    return layer.start.astype(np.int64), np.arange(layer.edges)


@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 30), max_size=12, unique=True).map(sorted), st.integers(8, 30)
        ),
        min_size=1,
        max_size=5,
        unique_by=lambda each: tuple(each[0]),
    )
)
def test_groups_contain_all_edges(classes: list[tuple[list[int], int]]) -> None:
    layer = layer_of([inputs for inputs, count in classes for _ in range(count)])
    groups = find_groups(layer, *ordered(layer))
    assert groups is not None
    covered: set[int] = set()
    begin = 0
    for first, size in zip(groups.first, groups.size, strict=True):
        outputs = range(first, first + GROUP_SIZE)
        covered |= set(outputs)
        rows = groups.edges[begin : begin + size]
        begin += size
        for j, n in enumerate(outputs):
            assert rows[:, j].tolist() == list(range(layer.start[n], layer.start[n + 1]))
            assert (layer.index[rows[:, j]] == layer.index[rows[:, 0]]).all()
    assert covered == set(range(layer.outputs))
    assert begin == groups.edges.shape[0]
    assert groups.first.size == sum(-(-count // GROUP_SIZE) for _, count in classes)


def test_a_neuron_with_fewer_equals_has_no_group() -> None:
    for counts in ((8, 7), (7, 8), (1,)):
        inputs = [[0, n + 1] for n, count in enumerate(counts) for _ in range(count)]
        layer = layer_of(inputs)
        assert find_groups(layer, *ordered(layer)) is None


def test_inputs_that_differ_in_one_edge_are_not_the_same() -> None:
    layer = layer_of([[0, 1, 2]] * 8 + [[0, 1, 3]] * 8)
    groups = find_groups(layer, *ordered(layer))
    assert groups is not None
    assert groups.first.tolist() == [0, 8]
    mixed = layer_of([[0, 1, 2], [0, 1, 3]] * 8)
    assert find_groups(mixed, *ordered(mixed)) is None
