"""Pairs of output neurons by blocks of inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kkspdnn.engines.fused import output_pairs
from kkspdnn.engines.fused.output_groups import same_as_previous
from kkspdnn.engines.fused.output_pairs import OutputPairs, find_pairs

BLOCK = output_pairs._BLOCK_INPUTS


def pairs_of(weights: Any) -> tuple[OutputPairs | None, Any, Any]:
    """Return the pairs of a layer, and the start and the input neuron of its edges."""
    source = np.concatenate([np.flatnonzero(column) for column in weights.T]).astype(np.uint32)
    sizes = np.count_nonzero(weights, axis=0)
    start = np.append(0, np.cumsum(sizes)).astype(np.int64)
    same = same_as_previous(source, start, sizes)
    return find_pairs(weights.shape[0], start, source, same), start, source


def few_differ(weights: Any) -> bool:
    """Return whether more than a quarter of the output neurons have the inputs of the one before,
    such as none."""
    return bool((weights[:, 1:] == weights[:, :-1]).all(axis=0).sum() > weights.shape[1] / 4)


def expected_unit(outputs: int) -> int:
    """At most 128 output neurons, an even number, and at least 16 units if there are enough."""
    return max(2, min(128, 2 * -(-outputs // 32)))


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 2, 3, 16, 33, 64, 129, 300, 4100]),
    st.sampled_from([1, 40, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK - 100]),
    st.sampled_from([0.2, 0.6]),
)
def test_each_edge_is_in_one_place(seed: int, outputs: int, inputs: int, density: float) -> None:
    """Those of an output neuron and a block of inputs are in a column, in ascending order, and
    padding follows them."""
    rng = np.random.default_rng(seed)
    weights = rng.random((inputs, outputs)) < density
    weights[:, rng.random(outputs) < 0.1] = False
    found, start, source = pairs_of(weights)
    input_blocks = -(-inputs // BLOCK)
    if found is None:
        assert source.size < 8 * outputs * input_blocks or few_differ(weights)
        return
    assert not few_differ(weights) or source.size >= BLOCK * outputs
    assert found.input_blocks == input_blocks
    assert found.unit_outputs == expected_unit(outputs)
    assert (np.append(found.start, found.edge.shape[0]) == np.append(0, found.size.cumsum())).all()
    seen: list[int] = []
    pair = 0
    for begin in range(0, outputs, found.unit_outputs):
        unit = range(begin, min(begin + found.unit_outputs, outputs))
        for block in range(input_blocks):
            own = found.neuron[pair : pair + -(-len(unit) // 2)]
            singles = [n for first, second in own for n in {int(first), int(second)}]
            # Each neuron is in one pair; with an odd number of them, one is in a pair by itself.
            assert sorted(singles) == list(unit)
            assert (own[:, 0] == own[:, 1]).sum() == len(unit) % 2
            for neurons in own:
                rows = found.edge[found.start[pair] : found.start[pair] + found.size[pair]]
                columns = [column[column >= 0] for column in rows.T]
                for n, column, edges in zip(neurons, rows.T, columns, strict=True):
                    assert (column[: edges.size] == edges).all()
                    assert (column[edges.size :] == -1).all()
                    of_neuron = np.arange(start[n], start[n + 1])
                    assert (edges == of_neuron[source[of_neuron] // BLOCK == block]).all()
                assert found.size[pair] == max(each.size for each in columns)
                same = neurons[0] == neurons[1]
                seen += [*columns[0], *(() if same else columns[1])]
                pair += 1
    assert pair == found.neuron.shape[0] == found.size.size
    assert sorted(seen) == list(range(source.size))


def test_neurons_with_about_as_many_edges_are_paired() -> None:
    """So that there is little padding."""
    counts = np.random.default_rng(1).permutation(64) + 20
    weights = np.zeros((BLOCK, 64), np.bool_)
    for n, count in enumerate(counts):
        weights[np.random.default_rng(n).permutation(BLOCK)[:count], n] = True
    found, _, source = pairs_of(weights)
    assert found is not None
    in_order = np.maximum(counts[::2], counts[1::2]).sum()
    padded = int((found.edge < 0).sum())
    assert padded == 2 * int(found.size.sum()) - source.size
    assert padded < 2 * in_order - source.size


def shifted(inputs: int, outputs: int, fan_in: int) -> Any:
    """Return a layer with other inputs for each output neuron."""
    weights = np.zeros((inputs, outputs), np.bool_)
    for n in range(outputs):
        weights[(n + np.arange(fan_in) * (inputs // fan_in)) % inputs, n] = True
    return weights


@pytest.mark.parametrize("blocks", [1, 2, 4])
def test_few_edges_are_not_paired(blocks: int) -> None:
    inputs = blocks * BLOCK
    enough, _, _ = pairs_of(shifted(inputs, 30, 8 * blocks))
    too_few, _, _ = pairs_of(shifted(inputs, 30, 8 * blocks - 1))
    assert enough is not None
    assert too_few is None


def test_neurons_with_the_same_inputs_are_not_paired() -> None:
    """If more than a quarter of them have those of the neuron before, and a block of inputs fits
    into the cache in any case."""
    weights = shifted(BLOCK, 40, 16)
    some, many = weights.copy(), weights.copy()
    some[:, 1:20:2] = weights[:, 0:20:2]
    many[:, 1:22:2] = weights[:, 0:22:2]
    assert pairs_of(some)[0] is not None
    assert pairs_of(many)[0] is None
    # With more inputs for each neuron than a block has.
    wide = np.repeat(shifted(4 * BLOCK, 20, 2 * BLOCK), 2, axis=1)
    assert pairs_of(wide)[0] is not None


def test_a_layer_without_edges_is_not_paired() -> None:
    assert pairs_of(np.zeros((5, 3), np.bool_))[0] is None
