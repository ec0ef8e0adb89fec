"""Tiles, compaction and the fused layer, each workunit alone, against NumPy.

All values are small multiples of 1/16, so that every sum is exact in both types. Odd numbers of
lanes leave single lanes after the SIMD registers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from kkspdnn.spaces import Space
from workunits import compact, fused, tiles

LANES = [1, 3, 16, 64]


def tiled(rows: Any, lanes: int) -> Any:
    """Rows (rows, neurons) as [tile][neuron][lane], zero past the last row."""
    count = -(-rows.shape[0] // lanes)
    padded = np.zeros((count * lanes, rows.shape[1]), rows.dtype)
    padded[: rows.shape[0]] = rows
    return np.ascontiguousarray(padded.reshape(count, lanes, rows.shape[1]).transpose(0, 2, 1))


def flat(tile: Any) -> Any:
    """The rows again, with those past the last one."""
    return tile.transpose(0, 2, 1).reshape(-1, tile.shape[1])


def some(rng: Any, shape: tuple[int, ...], dtype: Any, density: float = 0.5) -> Any:
    values = rng.integers(-32, 33, shape) / 16
    return (values * (rng.random(shape) < density)).astype(dtype)


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize(("rows", "neurons"), [(1, 1), (5, 9), (64, 16), (131, 33)])
def test_bits_into_tiles(
    space: Space, dtype: np.dtype[Any], rows: int, neurons: int, lanes: int
) -> None:
    rng = np.random.default_rng(rows)
    pixels = rng.integers(0, 2, (rows, neurons)).astype(np.uint8)
    expected = tiled(pixels.astype(dtype), lanes)
    y = np.full(expected.shape, np.nan, dtype)
    space.pk.parallel_for(
        "bits",
        space.teams(y.shape[0]),
        tiles.unpack_bits,
        bits=np.packbits(pixels, axis=1),
        y=y,
        rows=rows,
        neurons=neurons,
        columns=-(-neurons // 8),
        lanes=lanes,
    )
    assert (y == expected).all()


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize(("rows", "neurons"), [(1, 1), (5, 9), (131, 33)])
def test_csr_into_tiles(
    space: Space, dtype: np.dtype[Any], rows: int, neurons: int, lanes: int
) -> None:
    dense = some(np.random.default_rng(rows), (rows, neurons), dtype, 0.2)
    csr = sp.csr_array(dense)
    expected = tiled(dense, lanes)
    y = np.zeros(expected.shape, dtype)
    space.pk.parallel_for(
        "csr",
        space.range(rows),
        tiles.unpack_csr,
        start=csr.indptr.astype(np.int64),
        index=csr.indices.astype(np.uint32),
        value=csr.data,
        y=y,
        lanes=lanes,
    )
    assert (y == expected).all()


YMAX = 4.0


def find_state(space: Space, x: Any, rows: int, ymax: float) -> Any:
    state = np.full(rows, -1, np.int32)
    space.pk.parallel_for(
        "state",
        space.range(rows),
        compact.find_state,
        y=x,
        state=state,
        ymax=x.dtype.type(ymax),
        neurons=x.shape[1],
        lanes=x.shape[2],
    )
    return state


def list_live(space: Space, state: Any, kept: Any, place: Any, neurons: int, lanes: int) -> int:
    total = space.pk.parallel_scan(
        "list",
        space.range(state.size),
        compact.list_live,
        state=state,
        kept=kept,
        place=place,
        neurons=neurons,
        lanes=lanes,
    )
    return int(total)


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("neurons", [1, 2, 21])
def test_rows_are_dead_alive_or_saturated(
    space: Space, dtype: np.dtype[Any], lanes: int, neurons: int
) -> None:
    rng = np.random.default_rng(7)
    dense = np.zeros((133, neurons), dtype)
    expected = rng.integers(0, 3, 133)
    for row, state in enumerate(expected):
        if state == 2:
            dense[row] = YMAX
        elif state == 1:
            # One value that is neither, in any neuron, among zeros or among ymax.
            dense[row] = rng.choice([0, YMAX])
            dense[row, rng.integers(neurons)] = rng.choice([-1, 0.5, 5])
    assert find_state(space, tiled(dense, lanes), 133, YMAX).tolist() == expected.tolist()
    expected[expected == 2] = 1
    assert find_state(space, tiled(dense, lanes), 133, np.inf).tolist() == expected.tolist()


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("before", [0, 1, 70])
def test_living_rows_move_behind_others(
    space: Space, dtype: np.dtype[Any], lanes: int, share: float, before: int
) -> None:
    rng = np.random.default_rng(7)
    rows, neurons = 133, 21
    dense = some(rng, (rows, neurons), dtype)
    state = np.where(rng.random(rows) < share, 1, rng.choice([0, 2], rows)).astype(np.int32)
    kept = np.full(rows, -1, np.int32)
    place = np.full(rows, -1, np.int64)
    total = list_live(space, state, kept, place, neurons, lanes)
    alive = np.flatnonzero(state == 1)
    assert total == alive.size
    assert kept[:total].tolist() == alive.tolist()
    assert (kept[total:] == -1).all()

    there = some(rng, (before, neurons), dtype)
    expected = tiled(np.concatenate((there, dense[alive])), lanes)
    y = np.full(expected.shape, np.nan, dtype)
    y[: -(-before // lanes)] = tiled(there, lanes)
    first = before // lanes
    space.pk.parallel_for(
        "gather",
        space.teams(y.shape[0] - first),
        compact.gather_rows,
        x=tiled(dense, lanes).ravel(),
        y=y[first:],
        place=place,
        zero=dtype.type(0),
        offset=before - first * lanes,
        count=total,
        neurons=neurons,
        lanes=lanes,
    )
    assert (y == expected).all()

    ids = np.arange(rows, dtype=np.int64) + 2**40
    moved = np.zeros_like(ids)
    space.pk.parallel_for(
        "ids", space.range(total), compact.gather_ids, ids=ids, moved=moved, kept=kept
    )
    assert moved[:total].tolist() == (alive + 2**40).tolist()
    assert not moved[total:].any()


def test_the_scan_is_right_over_many_threads_and_rows(space: Space) -> None:
    state = np.random.default_rng(3).integers(0, 3, 200_003).astype(np.int32)
    kept, place = np.zeros_like(state), np.zeros(state.size, np.int64)
    total = list_live(space, state, kept, place, 10**6, 64)
    alive = np.flatnonzero(state == 1)
    assert kept[:total].tolist() == alive.tolist()
    # Past 2^31, so that an offset of 32 bits would be seen.
    assert place[:total].tolist() == (alive // 64 * 64 * 10**6 + alive % 64).tolist()


def one_layer(y: Any, weights: Any, bias: Any, ymax: float) -> Any:
    """The challenge's layer, dense, float64."""
    z = y.astype(np.float64) @ weights.astype(np.float64)
    z = np.where(z != 0, z + bias.astype(np.float64), 0)
    return np.minimum(np.maximum(z, 0), ymax)


def run_fused(
    space: Space,
    workunit: Any,
    rows: Any,
    lanes: int,
    blocks: int,
    bias: Any,
    ymax: float,
    **w: Any,
) -> Any:
    outputs, dtype = bias.size, rows.dtype
    x = tiled(rows, lanes)
    y = np.full((x.shape[0], outputs, lanes), np.nan, dtype)
    space.pk.parallel_for(
        "fused",
        space.teams(x.shape[0] * blocks),
        workunit,
        x=x,
        y=y,
        bias=bias,
        zero=dtype.type(0),
        ymax=dtype.type(ymax),
        blocks=blocks,
        width=-(-outputs // blocks),
        outputs=outputs,
        lanes=lanes,
        **w,
    )
    assert not flat(y)[rows.shape[0] :].any(), "a lane past the last row came to life"
    return flat(y)[: rows.shape[0]]


# (outputs, blocks): 321 in 20 blocks of 17 leaves the last block less than nothing.
SHAPES = [(1, 1), (33, 1), (33, 2), (50, 7), (321, 20)]


@pytest.mark.parametrize("index_type", [np.uint16, np.uint32])
@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize(("outputs", "blocks"), SHAPES)
def test_fused_with_fixed_fan_in(
    space: Space, dtype: np.dtype[Any], index_type: Any, lanes: int, outputs: int, blocks: int
) -> None:
    rng = np.random.default_rng(outputs + lanes)
    inputs, fan_in = 40, int(rng.integers(1, 33))
    index = np.argsort(rng.random((outputs, inputs)), axis=1)[:, :fan_in]
    value = some(rng, (outputs, fan_in), dtype, 1.0)
    weights = np.zeros((inputs, outputs), dtype)
    weights[index, np.arange(outputs)[:, None]] = value
    bias = some(rng, (outputs,), dtype, 0.8)
    rows = some(rng, (2 * lanes + 1, inputs), dtype)
    rows[rng.random(rows.shape[0]) < 0.3] = 0
    for ymax in (2.0, np.inf):
        found = run_fused(
            space,
            fused.fused_fan_in,
            rows,
            lanes,
            blocks,
            bias,
            ymax,
            index=index.astype(index_type),
            value=value,
            fan_in=fan_in,
        )
        assert (found == one_layer(rows, weights, bias, ymax)).all()


@pytest.mark.parametrize("index_type", [np.uint16, np.uint32])
@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize(("outputs", "blocks"), SHAPES)
def test_fused_with_any_fan_in(
    space: Space, dtype: np.dtype[Any], index_type: Any, lanes: int, outputs: int, blocks: int
) -> None:
    rng = np.random.default_rng(outputs + lanes)
    weights = some(rng, (40, outputs), dtype, 0.3)
    weights[:, rng.random(outputs) < 0.2] = 0
    csc = sp.csc_array(weights)
    bias = some(rng, (outputs,), dtype, 0.8)
    rows = some(rng, (2 * lanes + 1, 40), dtype)
    for ymax in (2.0, np.inf):
        found = run_fused(
            space,
            fused.fused_csr,
            rows,
            lanes,
            blocks,
            bias,
            ymax,
            start=csc.indptr.astype(np.int64),
            index=csc.indices.astype(index_type),
            value=csc.data,
        )
        assert (found == one_layer(rows, weights, bias, ymax)).all()


def test_indices_use_all_their_bits(space: Space, dtype: np.dtype[Any]) -> None:
    for index_type, inputs in ((np.uint16, 65536), (np.uint32, 70_000)):
        rows = np.zeros((2, inputs), dtype)
        rows[:, -1] = 3
        found = run_fused(
            space,
            fused.fused_fan_in,
            rows,
            1,
            1,
            np.zeros(1, dtype),
            32.0,
            index=np.array([[0, inputs - 1]], index_type),
            value=np.array([[1, 2]], dtype),
            fan_in=2,
        )
        assert found.tolist() == [[6.0], [6.0]]


def test_bias_skips_sums_that_cancel(space: Space, dtype: np.dtype[Any]) -> None:
    found = run_fused(
        space,
        fused.fused_fan_in,
        np.ones((3, 2), dtype),
        2,
        1,
        np.array([1, 1], dtype),
        32.0,
        index=np.array([[0, 1], [0, 1]], np.uint16),
        value=np.array([[2, -2], [2, -1]], dtype),
        fan_in=2,
    )
    assert found.tolist() == [[0.0, 2.0]] * 3
