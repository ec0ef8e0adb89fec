"""Layers on a few rows by input neuron, each workunit alone, against NumPy.

All values are small multiples of 1/16, so that every sum is exact in both types.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from exact_numbers import RULES, layer_outputs, random_array

from kkspdnn.device.space import Space
from kkspdnn.workunits import by_input

LANES = [1, 2, 3, 4, 8, 16, *(pytest.param(n, marks=pytest.mark.slow) for n in (5, 23, 39))]
"""One row, packs of an eighth to all of a register of float32, and single lanes."""

pytestmark = pytest.mark.usefixtures("on_the_host")


def activations(rng: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Tiles [tile][neuron][lane], with neurons that are zero in all lanes of a tile."""
    x = random_array(rng, shape, dtype)
    x[rng.random(shape[:2]) < 0.4] = 0
    return x


def by_block(weights: Any, width: int, index_type: Any) -> dict[str, Any]:
    """The edges of each block of outputs by input neuron, padded to multiples of four."""
    start, index, value = [0], list[int](), list[float]()
    for begin in range(0, weights.shape[1], width):
        for row in weights[:, begin : begin + width]:
            (edges,) = np.nonzero(row)
            padding = -edges.size % 4
            index += [*edges.tolist(), *[width] * padding]
            value += [*row[edges].tolist(), *[0.0] * padding]
            start.append(len(index))
    return {
        "start": np.array(start, np.int64),
        "index": np.array(index, index_type),
        "value": np.array(value, weights.dtype),
    }


def list_of(mask: Any, width: int) -> dict[str, Any]:
    """The arguments that list the neurons of a mask [tile][neuron], in blocks of `width`."""
    tiles, neurons = mask.shape
    blocks = -(-neurons // width)
    active = np.full((tiles, blocks * width), 2**30, np.int32)
    count = np.zeros((tiles, blocks), np.int32)
    for tile, block in np.ndindex(tiles, blocks):
        begin = block * width
        numbers = begin + np.flatnonzero(mask[tile, begin : begin + width])
        active[tile, begin : begin + numbers.size] = numbers
        count[tile, block] = numbers.size
    return {"active": active, "count": count}


def listed(active: Any, count: Any, width: int, neurons: int) -> Any:
    """The mask of the neurons that are listed in ascending order."""
    mask = np.zeros((active.shape[0], neurons), bool)
    for tile, block in np.ndindex(count.shape):
        numbers = active[tile, block * width :][: count[tile, block]]
        assert (np.diff(numbers) > 0).all()
        assert (numbers // width == block).all()
        mask[tile, numbers] = True
    return mask


def run_inputs(
    space: Space,
    x: Any,
    mask: Any,
    weights: Any,
    width: int,
    bias: Any,
    ymax: float,
    unbiased: float,
    low: float,
    index_type: Any = np.uint16,
    input_width: int = 16,
) -> tuple[Any, Any]:
    """Return the outputs of a layer, and the mask of those that are listed. Nothing else is written
    to.

    mask: of the inputs that are listed
    """
    count, inputs, lanes = x.shape
    outputs, dtype = weights.shape[1], x.dtype
    blocks = -(-outputs // width)
    teams = count * blocks
    y = np.full((count + 1, outputs + 2, lanes), 99, dtype)
    next_active = np.full((count + 1, blocks * width + 2), 2**30, np.int32)
    next_count = np.full((count + 1, blocks + 1), 2**30, np.int32)
    space.pk.parallel_for(
        "inputs",
        space.teams(teams),
        by_input.fused_inputs,
        x=x,
        y=y,
        sums=np.full((teams, width + 1, lanes), np.nan, dtype),
        **list_of(mask, input_width),
        next_active=next_active,
        next_count=next_count,
        **by_block(weights, width, index_type),
        bias=bias,
        zero=dtype.type(0),
        unbiased=dtype.type(unbiased),
        low=dtype.type(low),
        ymax=dtype.type(ymax),
        tiles=count,
        inputs=inputs,
        input_blocks=-(-inputs // input_width),
        input_width=input_width,
        outputs=outputs,
        width=width,
        lanes=lanes,
    )
    assert (y[count] == 99).all()
    assert (y[:, outputs:] == 99).all()
    assert (next_active[count] == 2**30).all()
    assert (next_active[:, outputs:] == 2**30).all()
    assert (next_count[count] == 2**30).all()
    assert (next_count[:, blocks] == 2**30).all()
    mask = listed(next_active[:count], next_count[:count, :blocks], width, outputs)
    return y[:count, :outputs], mask


def one_layer(
    x: Any, weights: Any, bias: Any, ymax: float, unbiased: float = 0.0, low: float = 0.0
) -> Any:
    """A layer on tiles, float64."""
    rows = x.transpose(0, 2, 1)
    return layer_outputs(rows, weights, bias, ymax, unbiased, low).transpose(0, 2, 1)


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize(("neurons", "width"), [(1, 1), (9, 9), (33, 16), (40, 20), (21, 4)])
def test_rows_are_copied_and_their_active_inputs_listed(
    space: Space, dtype: np.dtype[Any], lanes: int, neurons: int, width: int
) -> None:
    """On three tiles, of which the last may be partly filled."""
    rng = np.random.default_rng(lanes)
    blocks = -(-neurons // width)
    for rows in range(2 * lanes + 1, 3 * lanes + 1, 2):
        x = np.zeros((3, neurons, lanes), dtype)
        # One value in any lane, or none; -0.0 is zero.
        for tile, neuron in np.argwhere(rng.random((3, neurons)) < 0.5):
            value = rng.choice([1 / 16, -3, np.finfo(dtype).tiny, -0.0])
            x[tile, neuron, rng.integers(lanes)] = value
        dense = np.full((rows, neurons + 1), 99, dtype)
        dense[:, :neurons] = x.transpose(0, 2, 1).reshape(-1, neurons)[:rows]
        x.transpose(0, 2, 1)[2, rows - 2 * lanes :] = 0
        y = np.full((4, neurons + 1, lanes), 99, dtype)
        active = np.full((4, neurons + 2), 2**30, np.int32)
        count = np.full((4, blocks + 1), 2**30, np.int32)
        space.pk.parallel_for(
            "unpack",
            space.teams(blocks),
            by_input.unpack_active,
            x=dense,
            y=y,
            zero=dtype.type(0),
            active=active,
            count=count,
            rows=rows,
            neurons=neurons,
            width=width,
            tiles=3,
            lanes=lanes,
        )
        assert (y[:3, :neurons] == x).all()
        assert (y[3] == 99).all()
        assert (y[:, neurons] == 99).all()
        mask = listed(active[:3], count[:3, :blocks], width, neurons)
        assert (mask == (x != 0).any(axis=2)).all()
        assert (active[3] == 2**30).all()
        assert (active[:, neurons:] == 2**30).all()
        assert (count[3] == 2**30).all()
        assert (count[:, blocks] == 2**30).all()


# (tiles, inputs, outputs, width): the last of several blocks may be smaller.
SHAPES = [(1, 1, 1, 1), (1, 40, 33, 64), (2, 40, 33, 16), (3, 21, 50, 7), (3, 30, 64, 16)]


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize(("tiles", "inputs", "outputs", "width"), SHAPES)
def test_layers_by_input(
    space: Space,
    dtype: np.dtype[Any],
    lanes: int,
    tiles: int,
    inputs: int,
    outputs: int,
    width: int,
) -> None:
    rng = np.random.default_rng(outputs + lanes)
    weights = random_array(rng, (inputs, outputs), dtype, 0.3)
    weights[:, rng.random(outputs) < 0.2] = 0
    weights[rng.random(inputs) < 0.1] = 0
    bias = random_array(rng, (outputs,), dtype, 0.8)
    x = activations(rng, (tiles, inputs, lanes), dtype)
    mask = (x != 0).any(axis=2)
    for ymax, (unbiased, low) in itertools.product((2.0, np.inf), RULES):
        y, marks = run_inputs(space, x, mask, weights, width, bias, ymax, unbiased, low)
        assert (y == one_layer(x, weights, bias, ymax, unbiased, low)).all()
        assert (marks == (y != 0).any(axis=2)).all()


@pytest.mark.parametrize("lanes", LANES)
def test_inactive_inputs_are_not_read(space: Space, dtype: np.dtype[Any], lanes: int) -> None:
    rng = np.random.default_rng(lanes)
    weights, bias = random_array(rng, (30, 20), dtype, 0.5), random_array(rng, (20,), dtype)
    x = activations(rng, (2, 30, lanes), dtype)
    mask = (x != 0).any(axis=2)
    assert not mask.all()
    expected = one_layer(x, weights, bias, 2.0)
    x[~mask] = np.nan
    y, _ = run_inputs(space, x, mask, weights, 8, bias, 2.0, 0.0, 0.0)
    assert (y == expected).all()


def test_without_active_inputs(space: Space, dtype: np.dtype[Any]) -> None:
    """The sums are zero, and get the bias only if it is added to all sums."""
    x, mask = np.full((2, 5, 4), np.nan, dtype), np.zeros((2, 5), bool)
    weights, bias = np.ones((5, 3), dtype), np.array([1, -1, 0], dtype)
    for unbiased, expected in ((0.0, [0, 0, 0]), (np.nan, [1, 0, 0])):
        y, marks = run_inputs(space, x, mask, weights, 2, bias, 2.0, unbiased, 0.0)
        assert (y == np.array(expected)[:, None]).all()
        assert marks.tolist() == [[value != 0 for value in expected]] * 2


def test_wide_indices(space: Space, dtype: np.dtype[Any]) -> None:
    """A block with more outputs than uint16 can number."""
    outputs = 70_000
    rng = np.random.default_rng(1)
    weights = np.zeros((3, outputs), dtype)
    for row in weights:
        row[rng.permutation(outputs)[:1000]] = random_array(rng, (1000,), dtype, 1.0)
    weights[:, -1] = 1
    bias = random_array(rng, (outputs,), dtype)
    x = activations(rng, (1, 3, 4), dtype)
    mask = (x != 0).any(axis=2)
    y, _ = run_inputs(space, x, mask, weights, outputs, bias, 2.0, 0.0, 0.0, np.uint32)
    assert (y == one_layer(x, weights, bias, 2.0)).all()
