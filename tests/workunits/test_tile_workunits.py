"""Tiles, compaction and the fused layer, each workunit alone, against NumPy.

All values are small multiples of 1/16, so that every sum is exact in both types. Odd numbers of
lanes leave single lanes after the SIMD registers.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from exact_numbers import RULES, layer_outputs

from kkspdnn.device.space import Space
from kkspdnn.workunits import compact, first_layer, fused, groups, pairs, tiles

LANES = [1, *(pytest.param(lanes, marks=pytest.mark.slow) for lanes in (3, 16)), 161]


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
    permutation = rng.permutation(neurons).astype(np.uint16)
    expected = tiled(pixels.astype(dtype), lanes)[:, np.argsort(permutation)]
    y = np.full(expected.shape, np.nan, dtype)
    space.pk.parallel_for(
        "bits",
        space.teams(y.shape[0]),
        tiles.unpack_bits,
        bits=np.packbits(pixels, axis=1),
        permutation=permutation,
        transposed=np.full((y.shape[0], -(-neurons // 8), lanes), 255, np.uint8),
        y=y,
        rows=rows,
        neurons=neurons,
        row_bytes=-(-neurons // 8),
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


# (rows, neurons, blocks, width): the last block of 133 neurons has one of its two cache lines, and
# 260 neurons in five blocks leave none for the last one.
DENSE_SHAPES = [
    (1, 1, 1, 1), (5, 9, 1, 1), (64, 16, 1, 1), (131, 33, 1, 3), (131, 33, 3, 1), (20, 133, 5, 2),
    (20, 260, 6, 4),
]  # fmt: skip


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize(("rows", "neurons", "blocks", "width"), DENSE_SHAPES)
def test_dense_rows_into_tiles_and_back(
    space: Space, dtype: np.dtype[Any], rows: int, neurons: int, blocks: int, width: int, lanes: int
) -> None:
    rng = np.random.default_rng(rows)
    dense = some(rng, (rows, neurons), dtype)
    permutation = rng.permutation(neurons).astype(np.uint16)
    expected = tiled(dense, lanes)[:, np.argsort(permutation)]
    y = np.full(expected.shape, np.nan, dtype)
    space.pk.parallel_for(
        "dense",
        space.teams(y.shape[0] * blocks),
        tiles.unpack_dense,
        x=dense,
        permutation=permutation,
        y=y,
        zero=dtype.type(0),
        rows=rows,
        neurons=neurons,
        blocks=blocks,
        width=width,
        lanes=lanes,
    )
    assert (y == expected).all()
    # After three other neurons, and into each second row of an array.
    behind = np.concatenate([np.full((y.shape[0], 3, lanes), np.nan, dtype), y], axis=1)
    back = np.full((2 * rows, neurons), -1, dtype)
    ids = 2 * rng.permutation(rows).astype(np.int64)
    space.pk.parallel_for(
        "back",
        space.teams(y.shape[0]),
        tiles.pack_dense,
        a=behind,
        permutation=permutation,
        ids=ids,
        y=back,
        rows=rows,
        first=3,
        neurons=neurons,
        lanes=lanes,
    )
    assert (back[ids] == dense).all()
    assert (back[1::2] == -1).all()


def sum_squares(space: Space, a: Any, neurons: int, blocks: int, width: int) -> Any:
    squares = np.full((a.shape[0] * blocks, a.shape[2]), np.nan, a.dtype)
    space.pk.parallel_for(
        "squares",
        space.teams(squares.shape[0]),
        tiles.sum_squares,
        a=a,
        squares=squares,
        zero=a.dtype.type(0),
        neurons=neurons,
        blocks=blocks,
        width=width,
        lanes=a.shape[2],
    )
    return squares


def exceeds(space: Space, squares: Any, limit: float, teams: int | None = None) -> bool:
    exceeded = np.full(2, 7, np.int32)
    space.pk.parallel_for(
        "check",
        space.range(1),
        tiles.check_squares,
        squares=squares,
        limit=squares.dtype.type(limit),
        exceeded=exceeded,
        teams=squares.shape[0] if teams is None else teams,
        lanes=squares.shape[1],
    )
    assert exceeded[0] in (0, 1)
    assert exceeded[1] == 7
    return bool(exceeded[0])


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize(("rows", "neurons", "blocks", "width"), DENSE_SHAPES)
def test_squares_of_rows_are_summed(
    space: Space, dtype: np.dtype[Any], rows: int, neurons: int, blocks: int, width: int, lanes: int
) -> None:
    """Of the first neurons of each tile: those after them are NaN."""
    dense = some(np.random.default_rng(rows), (rows, neurons), dtype)
    behind = np.full((rows, 3), np.nan, dtype)
    a = tiled(np.concatenate((dense, behind), axis=1), lanes)
    squares = sum_squares(space, a, neurons, blocks, width)
    found = squares.reshape(a.shape[0], blocks, lanes).sum(axis=1).ravel()
    assert (found[:rows] == (dense**2).sum(axis=1)).all()
    assert (found[rows:] == 0).all()
    parts = np.array_split(dense, range(16 * width, 16 * width * blocks, 16 * width), axis=1)
    largest = max(float((part**2).sum(axis=1).max(initial=0)) for part in parts)
    assert squares.max() == largest
    assert not exceeds(space, squares, largest)
    assert exceeds(space, squares, largest - 1 / 256)


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, None])
def test_values_that_are_not_finite_or_too_large(
    space: Space, dtype: np.dtype[Any], lanes: int, value: float | None
) -> None:
    """value: None for the largest number, whose square overflows"""
    bad = np.finfo(dtype).max if value is None else value
    limit = float(np.finfo(dtype).max) / 4
    a = np.ones((2, 40, lanes), dtype)
    assert not exceeds(space, sum_squares(space, a, 40, 3, 1), limit)
    for tile, neuron, lane in ((0, 0, 0), (1, 39, lanes - 1), (1, 17, lanes // 2)):
        a[tile, neuron, lane] = bad
        squares = sum_squares(space, a, 40, 3, 1)
        assert exceeds(space, squares, limit)
        # In another team's sum, or in none.
        assert exceeds(space, squares, limit, teams=3) == (tile == 0)
        a[tile, neuron, lane] = 1


def test_no_sum_is_within_a_limit_of_nan(space: Space, dtype: np.dtype[Any]) -> None:
    assert exceeds(space, np.zeros((1, 3), dtype), np.nan)
    assert not exceeds(space, np.zeros((1, 3), dtype), 0)


YMAX = 4.0


def empty_ranges(x: Any, entries: int) -> Any:
    """Ranges of the rows of tiles, with this number of entries a tile, to be written."""
    return np.full((x.shape[0] * entries, 2, x.shape[2]), 99, x.dtype)


def assert_ranges(ranges: Any, values: Any) -> None:
    """Assert that the ranges are those of the values [tile][neuron][lane]."""
    entries = ranges.reshape(values.shape[0], -1, 2, values.shape[2])
    assert np.array_equal(entries[:, :, 0].min(axis=1), values.min(axis=1))
    assert np.array_equal(entries[:, :, 1].max(axis=1), values.max(axis=1))


def find_range(space: Space, x: Any, first: int, neurons: int, parts: int) -> Any:
    ranges = empty_ranges(x, parts)
    space.pk.parallel_for(
        "range",
        space.teams(x.shape[0]),
        compact.find_range,
        a=x,
        ranges=ranges,
        first=first,
        neurons=neurons,
        parts=parts,
        lanes=x.shape[2],
    )
    return ranges


FIRST_ID = 2**40
"""The number of the input row that row 0 came from."""


def list_active(
    space: Space,
    rows: int,
    ranges: Any,
    entries: int = 1,
    max_zero: float = 0,
    min_saturated: float = YMAX,
    kind: Any = None,
    **outputs: Any,
) -> int:
    limit = ranges.dtype.type if kind is None else kind
    total = space.pk.parallel_scan(
        "list",
        space.range(rows),
        compact.list_active,
        ranges=ranges,
        max_zero=limit(max_zero),
        min_saturated=limit(min_saturated),
        ymax=limit(YMAX if kind is None else 256),
        ids=np.arange(rows, dtype=np.int64) + FIRST_ID,
        entries=entries,
        lanes=ranges.shape[2],
        **outputs,
    )
    return int(total)


def gather(space: Space, x: Any, y: Any, offset: Any, count: int, first_row: int = 0) -> None:
    """Copy `count` rows of x to the first of two buffers of y, from row `first_row` on."""
    space.pk.parallel_for(
        "gather",
        space.teams(y.shape[0] - first_row // y.shape[2]),
        compact.gather_rows,
        x=x.ravel(),
        a=y,
        offset=offset,
        zero=y.dtype.type(0),
        first_row=first_row,
        count=count,
        first=0,
        neurons=y.shape[1] // 2,
        lanes=y.shape[2],
    )


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("neurons", [1, 2, 21])
@pytest.mark.parametrize("parts", [1, 2, 16])
def test_rows_go_to_zero_stay_active_or_saturate(
    space: Space, dtype: np.dtype[Any], lanes: int, neurons: int, parts: int
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
            dense[row, rng.integers(neurons)] = rng.choice([-1, 0.5, 3, 5])
    # Other neurons around them must not be read.
    around = np.full((133, 3), 99, dtype)
    x = tiled(np.concatenate((around, dense, around), axis=1), lanes)
    ranges = find_range(space, x, 3, neurons, parts)
    assert_ranges(ranges, x[:, 3 : 3 + neurons])
    to_zero = {0.0: expected == 0, -np.inf: np.zeros(133, bool)}
    saturates = {YMAX: expected == 2, np.inf: np.zeros(133, bool)}
    # Of values that are neither, all that are small enough, or large enough, and none below 0.
    to_zero[0.5] = (dense >= 0).all(axis=1) & (dense <= 0.5).all(axis=1)
    saturates[3.0] = (dense >= 3).all(axis=1) & (dense <= YMAX).all(axis=1)
    for max_zero, min_saturated in itertools.product(to_zero, saturates):
        active_ids, offset = np.full(133, -1, np.int64), np.full(133, -1, np.int64)
        total = list_active(
            space, 133, ranges, parts, max_zero, min_saturated,
            active_ids=active_ids, offset=offset, first=0, stride=1,
        )  # fmt: skip
        active = ~to_zero[max_zero] & ~saturates[min_saturated]
        assert (active_ids[:total] - FIRST_ID).tolist() == np.flatnonzero(active).tolist()
        assert (active_ids[total:] == -1).all()


def test_a_row_above_ymax_is_not_saturated(space: Space, dtype: np.dtype[Any]) -> None:
    """An input row may have larger values, and any output."""
    active_ids, offset = np.zeros(2, np.int64), np.zeros(2, np.int64)
    ranges = np.array([[[YMAX, YMAX], [YMAX, YMAX + 1]]], dtype)
    total = list_active(
        space,
        2,
        ranges,
        active_ids=active_ids,
        offset=offset,
        first=0,
        stride=1,
    )
    assert (active_ids[:total] - FIRST_ID).tolist() == [1]


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("first_row", [0, 1, 70])
def test_active_rows_are_copied_behind_others(
    space: Space, dtype: np.dtype[Any], lanes: int, share: float, first_row: int
) -> None:
    rng = np.random.default_rng(7)
    rows, neurons = 133, 21
    dense = some(rng, (rows, neurons), dtype)
    active = np.flatnonzero(rng.random(rows) < share)
    ranges = np.zeros((-(-rows // lanes), 2, lanes), dtype)
    ranges[active // lanes, 1, active % lanes] = 1
    active_ids = np.full(rows, -1, np.int64)
    offset = np.full(rows, -1, np.int64)
    # From the second of two buffers to the first one.
    two_buffers = tiled(np.concatenate((np.full_like(dense, 99), dense), axis=1), lanes)
    total = list_active(
        space,
        rows,
        ranges,
        active_ids=active_ids,
        offset=offset,
        first=neurons,
        stride=2 * neurons,
    )
    assert (active_ids[:total] - FIRST_ID).tolist() == active.tolist()

    there = some(rng, (first_row, neurons), dtype)
    expected = tiled(np.concatenate((there, dense[active])), lanes)
    y = np.full((expected.shape[0], 2 * neurons, lanes), np.nan, dtype)
    y[: -(-first_row // lanes), :neurons] = tiled(there, lanes)
    gather(space, two_buffers, y, offset, total, first_row)
    assert (y[:, :neurons] == expected).all()
    assert np.isnan(y[:, neurons:]).all()


def test_without_active_rows_zeros_are_written(space: Space, dtype: np.dtype[Any]) -> None:
    """To several tiles, in one buffer, and nowhere else."""
    lanes, neurons = 3, 4
    y = np.full((5, 2 * neurons, lanes), np.nan, dtype)
    space.pk.parallel_for(
        "gather",
        space.teams(4),
        compact.gather_rows,
        x=y.ravel().copy(),
        a=y[:4],
        offset=np.zeros(1, np.int64),
        zero=dtype.type(0),
        first_row=0,
        count=0,
        first=neurons,
        neurons=neurons,
        lanes=lanes,
    )
    assert (y[:4, neurons:] == 0).all()
    assert np.isnan(y[:4, :neurons]).all()
    assert np.isnan(y[4]).all()


def test_the_scan_is_right_over_many_threads_and_rows(space: Space) -> None:
    active = np.random.default_rng(3).random(200_003) < 0.3
    active_ids, offset = np.zeros(active.size, np.int64), np.zeros(active.size, np.int64)
    ranges = np.zeros((-(-active.size // 64), 2, 64), np.float32)
    rows = np.flatnonzero(active)
    ranges[rows // 64, 1, rows % 64] = 1
    total = list_active(
        space,
        active.size,
        ranges,
        active_ids=active_ids,
        offset=offset,
        first=5,
        stride=10**6,
    )
    active = np.flatnonzero(active)
    assert (active_ids[:total] - FIRST_ID).tolist() == active.tolist()
    # Above 2^31, so that 32-bit offsets would be wrong.
    expected = (active // 64 * 10**6 + 5) * 64 + active % 64
    assert offset[:total].tolist() == expected.tolist()


PARTS = 3
"""Of the neurons of a team, whose ranges a launch finds; some have no neuron."""


def run_fused(
    space: Space,
    workunit: Any,
    rows: Any,
    lanes: int,
    blocks: int,
    bias: Any,
    ymax: float,
    unbiased: float = 0.0,
    low: float = 0.0,
    **w: Any,
) -> Any:
    """One layer, from the second buffer of the tiles to the first."""
    outputs, dtype = bias.size, rows.dtype
    in_units = "units" in w
    parts = 0 if in_units and blocks > 1 else PARTS
    x = tiled(rows, lanes)
    widest = max(x.shape[1], outputs)
    a = np.full((x.shape[0], 2 * widest, lanes), np.nan, dtype)
    a[:, widest : widest + x.shape[1]] = x
    ranges = empty_ranges(a, blocks * PARTS)
    space.pk.parallel_for(
        "fused",
        space.teams(x.shape[0] * blocks),
        workunit,
        a=a,
        ranges=ranges,
        bias=bias,
        zero=dtype.type(0),
        unbiased=dtype.type(unbiased),
        low=dtype.type(low),
        ymax=dtype.type(ymax),
        **w,
        layer=0,
        depth=1,
        buffer=1,
        widest=widest,
        blocks=blocks,
        width=-(-(w["units"] if in_units else outputs) // blocks),
        parts=parts,
        outputs=outputs,
        lanes=lanes,
    )
    if parts:
        assert_ranges(ranges, a[:, :outputs])
    else:
        assert (ranges == 99).all()
    assert np.isnan(a[:, outputs:widest]).all()
    y = flat(a[:, :outputs])
    assert not (y[rows.shape[0] :].any() and unbiased == 0), "a lane past the last row came to life"
    return y[: rows.shape[0]]


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("weight", [0.5, None])
@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize(("unbiased", "low"), RULES)
def test_several_layers_in_a_launch(
    space: Space,
    dtype: np.dtype[Any],
    lanes: int,
    weight: float | None,
    depth: int,
    unbiased: float,
    low: float,
) -> None:
    """All workunits, from the second of six layers on. weight: the common weight, or None"""
    rng = np.random.default_rng(depth)
    neurons, fan_in = 20, 4
    index = np.argsort(rng.random((6 * neurons, neurons)), axis=1)[:, :fan_in].astype(np.uint16)
    value = some(rng, (6 * neurons, fan_in), dtype, 1.0)
    if weight is not None:
        value.fill(weight)
    bias = some(rng, (6 * neurons,), dtype, 0.8)
    rows = some(rng, (2 * lanes + 1, neurons), dtype)
    expected = rows
    for layer in range(1, 1 + depth):
        own = slice(layer * neurons, (layer + 1) * neurons)
        weights = np.zeros((neurons, neurons), dtype)
        weights[index[own], np.arange(neurons)[:, None]] = value[own]
        # Rounded to the type, as the tiles hold it.
        expected = layer_outputs(expected, weights, bias[own], 2.0, unbiased, low).astype(dtype)
    starts = np.arange(0, index.size, fan_in, dtype=np.int64)
    sizes = np.full(starts.size, fan_in, np.int32)
    in_pairs = Pairs(8, 7, 3)
    for layer in range(6):
        own = slice(layer * neurons, (layer + 1) * neurons)
        weights = np.zeros((neurons, neurons), dtype)
        weights[index[own], np.arange(neurons)[:, None]] = value[own]
        in_pairs.add(rng, weights)
    workunits: list[tuple[Any, dict[str, Any]]] = [
        (fused.fused_fan_in, {"index": index, "value": value, "fan_in": fan_in}),
        (
            fused.fused_csr,
            {"index": index.ravel(), "value": value.ravel(), "start": starts, "size": sizes},
        ),
        (pairs.fused_pairs, in_pairs.arguments(neurons, dtype, np.uint16)),
    ]
    if weight is not None:
        equal = {"index": index, "weight": dtype.type(weight), "fan_in": fan_in}
        workunits.append((fused.fused_equal, equal))
    for workunit, w in workunits:
        a = np.full((3, 2 * neurons, lanes), np.nan, dtype)
        a[:, :neurons] = tiled(rows, lanes)
        ranges = empty_ranges(a, PARTS)
        space.pk.parallel_for(
            "fused",
            space.teams(3),
            workunit,
            a=a,
            ranges=ranges,
            bias=bias,
            zero=dtype.type(0),
            unbiased=dtype.type(unbiased),
            low=dtype.type(low),
            ymax=dtype.type(2),
            layer=1,
            depth=depth,
            buffer=0,
            widest=neurons,
            blocks=1,
            width=neurons,
            parts=PARTS,
            outputs=neurons,
            lanes=lanes,
            **w,
        )
        last = a[:, neurons:] if depth % 2 else a[:, :neurons]
        assert_ranges(ranges, last)
        found = flat(last)[: rows.shape[0]]
        # The sums of later layers are no longer exact in float32.
        assert np.allclose(found, expected, rtol=1e-5, atol=1e-5)


def counted_tiles(
    space: Space, rows: Any, lanes: int, index: Any, outputs: int, buffer: int = 0, blocks: int = 1
) -> Any:
    """Tiles with rows of bits in one buffer and the counts of the second layer of a group in the
    other one; and the index of the first count in a tile."""
    widest = max(rows.shape[1], outputs)
    x = np.full((-(-rows.shape[0] // lanes), 2 * widest, lanes), 77, np.uint8)
    x[:, buffer * widest : buffer * widest + rows.shape[1]] = tiled(rows, lanes)
    ranges = empty_ranges(x, blocks * PARTS)
    space.pk.parallel_for(
        "count",
        space.teams(x.shape[0] * blocks),
        first_layer.count_edges,
        x=x,
        ranges=ranges,
        index=index,
        layer=1,
        buffer=buffer,
        widest=widest,
        blocks=blocks,
        width=-(-outputs // blocks),
        parts=PARTS,
        outputs=outputs,
        fan_in=index.shape[1],
        lanes=lanes,
    )
    count_offset = (1 - buffer) * widest
    assert_ranges(ranges, x[:, count_offset : count_offset + outputs])
    return x, count_offset


def run_counts(
    space: Space,
    rows: Any,
    a: Any,
    index: Any,
    bias: Any,
    ymax: float,
    unbiased: float,
    low: float,
    **given: Any,
) -> None:
    """Weights of 0.25 in the first layer, the second of its group, and 0.5 in those after it."""
    scalar, lanes = a.dtype.type, a.shape[2]
    outputs, depth = given["outputs"], given["depth"]
    x, count_offset = counted_tiles(space, rows, lanes, index, outputs, given["buffer"])
    ranges, widest = empty_ranges(a, given["blocks"] * PARTS), a.shape[1] // 2
    space.pk.parallel_for(
        "counts",
        space.teams(a.shape[0] * given["blocks"]),
        first_layer.fused_counts,
        x=x,
        a=a,
        ranges=ranges,
        weight=scalar(0.25),
        bias=bias,
        next_weight=scalar(0.5),
        zero=scalar(0),
        unbiased=scalar(unbiased),
        low=scalar(low),
        ymax=scalar(ymax),
        layer=1,
        count_offset=count_offset,
        widest=widest,
        width=-(-outputs // given["blocks"]),
        parts=PARTS,
        next_fan_in=given["next_index"].shape[1],
        lanes=lanes,
        **given,
    )
    begin = (given["buffer"] + 1 + depth) % 2 * widest
    assert_ranges(ranges, a[:, begin : begin + outputs])


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize(("outputs", "blocks"), [(1, 1), (33, 2), (321, 20)])
@pytest.mark.parametrize("fan_in", [1, 32, 255])
@pytest.mark.parametrize("buffer", [0, 1])
def test_edges_are_counted(
    space: Space, lanes: int, outputs: int, blocks: int, fan_in: int, buffer: int
) -> None:
    rng = np.random.default_rng(fan_in)
    inputs = 300
    index = np.argsort(rng.random((2 * outputs, inputs)), axis=1)[:, :fan_in].astype(np.uint16)
    rows = (rng.random((2 * lanes + 1, inputs)) < rng.random((2 * lanes + 1, 1))).astype(np.uint8)
    rows[0] = 1
    x, count_offset = counted_tiles(space, rows, lanes, index, outputs, buffer, blocks)
    found = flat(x[:, count_offset : count_offset + outputs])[: rows.shape[0]]
    assert (found == rows[:, index[outputs:]].sum(axis=2)).all()
    assert found[0].tolist() == [fan_in] * outputs
    # Nothing else is written to.
    begin = buffer * max(inputs, outputs)
    assert (flat(x[:, begin : begin + inputs])[: rows.shape[0]] == rows).all()
    assert (x[:, count_offset + outputs : count_offset + max(inputs, outputs)] == 77).all()


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize(("outputs", "blocks"), [(1, 1), (33, 2), (321, 20)])
@pytest.mark.parametrize(("unbiased", "low"), RULES)
def test_a_layer_from_counts(
    space: Space,
    dtype: np.dtype[Any],
    lanes: int,
    outputs: int,
    blocks: int,
    unbiased: float,
    low: float,
) -> None:
    rng = np.random.default_rng(outputs)
    inputs = 300
    index = np.argsort(rng.random((2 * outputs, inputs)), axis=1)[:, :32].astype(np.uint16)
    weights = np.zeros((inputs, outputs), dtype)
    weights[index[outputs:], np.arange(outputs)[:, None]] = 0.25
    bias = some(rng, (2 * outputs,), dtype, 0.8)
    rows = (rng.random((2 * lanes + 1, inputs)) < rng.random((2 * lanes + 1, 1))).astype(np.uint8)
    a = np.full((3, 2 * inputs + 2 * outputs, lanes), np.nan, dtype)
    run_counts(
        space, rows, a, index, bias, 4.0, unbiased, low,
        next_index=index, next_bias=bias, next_layer=1, depth=0, buffer=0,
        blocks=blocks, outputs=outputs,
    )  # fmt: skip
    found = flat(a[:, inputs + outputs : inputs + 2 * outputs])[: rows.shape[0]]
    assert (found == layer_outputs(rows, weights, bias[outputs:], 4.0, unbiased, low)).all()
    assert np.isnan(a[:, : inputs + outputs]).all()


@pytest.mark.parametrize("lanes", LANES)
def test_rows_of_counts_leave_and_move(space: Space, lanes: int) -> None:
    """As rows of activations do, with limits that no byte can have."""
    rng = np.random.default_rng(lanes)
    counts = rng.integers(4, 8, (133, 21)).astype(np.uint8)
    counts[::3] = rng.integers(0, 4, counts[::3].shape)
    counts[::5] = rng.integers(200, 256, counts[::5].shape)
    to_zero, saturates = (counts <= 3).all(axis=1), (counts >= 200).all(axis=1)
    two_buffers = tiled(np.concatenate((np.full_like(counts, 99), counts), axis=1), lanes)
    ranges = find_range(space, two_buffers, 21, 21, 2)
    none = np.zeros(133, np.bool_)
    for max_zero, min_saturated, left in (
        (3, 200, to_zero | saturates),
        (-1, 256, none),
        (3, 256, to_zero),
        (-1, 200, saturates),
    ):
        active_ids, offset = np.full(133, -1, np.int64), np.full(133, -1, np.int64)
        total = list_active(
            space, 133, ranges, 2, max_zero, min_saturated, kind=np.int32,
            active_ids=active_ids, offset=offset, first=21, stride=42,
        )  # fmt: skip
        active = np.flatnonzero(~left)
        assert (active_ids[:total] - FIRST_ID).tolist() == active.tolist()
        expected = tiled(counts[active], lanes)
        y = np.full((expected.shape[0], 42, lanes), 99, np.uint8)
        gather(space, two_buffers, y, offset, total)
        assert (y[:, :21] == expected).all()
        assert (y[:, 21:] == 99).all()


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("buffer", [0, 1])
@pytest.mark.parametrize(("unbiased", "low"), RULES)
def test_layers_follow_the_counted_one(
    space: Space,
    dtype: np.dtype[Any],
    lanes: int,
    depth: int,
    buffer: int,
    unbiased: float,
    low: float,
) -> None:
    """The first layer is the second of its group, the following ones begin with the third."""
    rng = np.random.default_rng(depth)
    inputs, outputs, widest, fan_in, next_fan_in = 30, 20, 31, 5, 4
    index = np.argsort(rng.random((2 * outputs, inputs)), axis=1)[:, :fan_in].astype(np.uint16)
    after = np.argsort(rng.random((6 * outputs, outputs)), axis=1)[:, :next_fan_in]
    bias, next_bias = (some(rng, (n * outputs,), dtype, 0.8) for n in (2, 6))
    rows = rng.integers(0, 2, (2 * lanes + 1, inputs)).astype(np.uint8)
    first = np.zeros((inputs, outputs), dtype)
    first[index[outputs:], np.arange(outputs)[:, None]] = 0.25
    expected = layer_outputs(rows, first, bias[outputs:], 2.0, unbiased, low).astype(dtype)
    for layer in range(2, 2 + depth):
        own = slice(layer * outputs, (layer + 1) * outputs)
        weights = np.zeros((outputs, outputs), dtype)
        weights[after[own], np.arange(outputs)[:, None]] = 0.5
        exact = layer_outputs(expected, weights, next_bias[own], 2.0, unbiased, low)
        expected = exact.astype(dtype)
    a = np.full((3, 2 * widest, lanes), np.nan, dtype)
    run_counts(
        space, rows, a, index, bias, 2.0, unbiased, low,
        next_index=after.astype(np.uint16), next_bias=next_bias, next_layer=2, depth=depth,
        buffer=buffer, blocks=1, outputs=outputs,
    )  # fmt: skip
    begin = (buffer + 1 + depth) % 2 * widest
    found = flat(a[:, begin : begin + outputs])[: rows.shape[0]]
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-5)


# (outputs, blocks): 321 outputs in 20 blocks of 17 leave none for the last block.
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
    for ymax, (unbiased, low) in itertools.product((2.0, np.inf), RULES):
        found = run_fused(
            space,
            fused.fused_fan_in,
            rows,
            lanes,
            blocks,
            bias,
            ymax,
            unbiased,
            low,
            index=index.astype(index_type),
            value=value,
            fan_in=fan_in,
        )
        assert (found == layer_outputs(rows, weights, bias, ymax, unbiased, low)).all()


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
    for ymax, (unbiased, low) in itertools.product((2.0, np.inf), RULES):
        found = run_fused(
            space,
            fused.fused_csr,
            rows,
            lanes,
            blocks,
            bias,
            ymax,
            unbiased,
            low,
            start=csc.indptr[:-1].astype(np.int64),
            size=np.diff(csc.indptr).astype(np.int32),
            index=csc.indices.astype(index_type),
            value=csc.data,
        )
        assert (found == layer_outputs(rows, weights, bias, ymax, unbiased, low)).all()


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("lanes", LANES)
def test_fused_groups(
    space: Space, dtype: np.dtype[Any], lanes: int, blocks: int, depth: int
) -> None:
    """Bit for bit the values of single outputs, with groups that overlap and of several sizes."""
    if depth > 1 and blocks > 1:
        pytest.skip("teams do not wait for each other")
    neurons = 30
    rng = np.random.default_rng(lanes)
    first = np.tile(np.array([0, 8, 13, 21, 22], np.int32), 2)
    size = np.tile(np.array([9, 9, 9, 0, 0], np.int32), 2)
    size[8:] = 17
    start = np.append(0, np.cumsum(size)[:-1]).astype(np.int64)
    index = np.concatenate([np.sort(rng.permutation(neurons)[:n]) for n in size]).astype(np.uint16)
    value = some(rng, (index.size, 8), dtype, 1.0)
    edges: dict[int, tuple[Any, Any]] = {}
    for g in range(10):
        row = slice(start[g], start[g] + size[g])
        for j in range(8):
            n = g // 5 * neurons + first[g] + j
            if n in edges:  # an overlap
                index[row], value[row, j] = edges[n]
            edges[n] = index[row].copy(), value[row, j].copy()
    arguments: dict[str, Any] = {
        "bias": some(rng, (2 * neurons,), dtype, 0.8), "zero": dtype.type(0),
        "unbiased": dtype.type(0), "low": dtype.type(0), "ymax": dtype.type(2), "layer": 2 - depth,
        "depth": depth, "buffer": 0, "widest": neurons, "blocks": blocks, "outputs": neurons,
        "lanes": lanes,
    }  # fmt: skip
    a = np.full((3, 2 * neurons, lanes), np.nan, dtype)
    a[:, :neurons] = some(rng, (3, neurons, lanes), dtype)
    expected = a.copy()
    ranges = empty_ranges(a, PARTS)
    space.pk.parallel_for(
        "groups", space.teams(3 * blocks), groups.fused_groups, a=a, ranges=ranges, start=start,
        size=size, first_output=first, index=index, value=value, groups=5, width=-(-5 // blocks),
        parts=PARTS if blocks == 1 else 0, **arguments,
    )  # fmt: skip
    if blocks == 1:
        assert_ranges(ranges, a[:, neurons:] if depth % 2 else a[:, :neurons])
    else:
        assert (ranges == 99).all()
    single = [edges[n] for n in range(2 * neurons)]
    sizes = np.array([each[0].size for each in single], np.int32)
    space.pk.parallel_for(
        "csr", space.teams(3 * blocks), fused.fused_csr, a=expected, ranges=ranges, size=sizes,
        start=np.append(0, np.cumsum(sizes)[:-1]).astype(np.int64),
        index=np.concatenate([each[0] for each in single]),
        value=np.concatenate([each[1] for each in single]),
        width=-(-neurons // blocks), parts=0, **arguments,
    )  # fmt: skip
    assert np.array_equal(a, expected, equal_nan=True)


class Pairs:
    """Pairs of output neurons for `fused_pairs`, added layer by layer."""

    def __init__(self, unit_outputs: int, block_inputs: int, input_blocks: int) -> None:
        self._unit_outputs, self._block_inputs = unit_outputs, block_inputs
        self._input_blocks = input_blocks
        self._neuron: list[Any] = []
        self._index: list[Any] = []
        self._value: list[Any] = []

    def add(self, rng: Any, weights: Any) -> None:
        """Add a layer. In each block of inputs, the neurons of a unit are paired at random."""
        outputs, size = weights.shape[1], self._block_inputs
        for begin in range(0, outputs, self._unit_outputs):
            unit = np.arange(begin, min(begin + self._unit_outputs, outputs))
            for first in range(0, self._input_blocks * size, size):
                shuffled = rng.permutation(unit)
                if unit.size % 2:
                    shuffled = np.append(shuffled, shuffled[-1])
                for pair in shuffled.reshape(-1, 2):
                    self._add_pair(pair, first, weights[first : first + size, pair])

    def _add_pair(self, pair: Any, first: int, weights: Any) -> None:
        sources = [np.flatnonzero(column) for column in weights.T]
        rows = max(each.size for each in sources)
        index, value = np.zeros((rows, 2), np.int64), np.zeros((rows, 2))
        for column, each in enumerate(sources):
            index[: each.size, column] = first + each
            value[: each.size, column] = weights[each, column]
        self._neuron.append(pair)
        self._index.append(index)
        self._value.append(value)

    def arguments(self, outputs: int, dtype: Any, index_type: Any) -> dict[str, Any]:
        size = np.array([each.shape[0] for each in self._index], np.int32)
        return {
            "start": np.append(0, np.cumsum(size)[:-1]).astype(np.int64),
            "size": size,
            "neuron": np.array(self._neuron, np.int32),
            "index": np.concatenate(self._index).astype(index_type),
            "value": np.concatenate(self._value).astype(dtype),
            "units": -(-outputs // self._unit_outputs),
            "unit_outputs": self._unit_outputs,
            "input_blocks": self._input_blocks,
        }


# (outputs, unit_outputs, input_blocks, blocks): 33 outputs leave one for the last unit of 8, and 20
# units in six blocks of four leave none for the last block.
PAIR_SHAPES = [
    (1, 2, 1, 1), (7, 2, 1, 1), (33, 8, 2, 1), (33, 8, 3, 2), (50, 128, 2, 1), (39, 2, 1, 6),
]  # fmt: skip


@pytest.mark.parametrize("index_type", [np.uint16, pytest.param(np.uint32, marks=pytest.mark.slow)])
@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize(("outputs", "unit_outputs", "input_blocks", "blocks"), PAIR_SHAPES)
def test_fused_pairs(
    space: Space,
    dtype: np.dtype[Any],
    index_type: Any,
    lanes: int,
    outputs: int,
    unit_outputs: int,
    input_blocks: int,
    blocks: int,
) -> None:
    rng = np.random.default_rng(outputs + lanes)
    weights = some(rng, (40, outputs), dtype, 0.3)
    weights[:, rng.random(outputs) < 0.2] = 0
    pairs_of_layer = Pairs(unit_outputs, -(-40 // input_blocks), input_blocks)
    pairs_of_layer.add(rng, weights)
    bias = some(rng, (outputs,), dtype, 0.8)
    rows = some(rng, (2 * lanes + 1, 40), dtype)
    for ymax, (unbiased, low) in itertools.product((2.0, np.inf), RULES):
        found = run_fused(
            space,
            pairs.fused_pairs,
            rows,
            lanes,
            blocks,
            bias,
            ymax,
            unbiased,
            low,
            **pairs_of_layer.arguments(outputs, dtype, index_type),
        )
        assert (found == layer_outputs(rows, weights, bias, ymax, unbiased, low)).all()


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
