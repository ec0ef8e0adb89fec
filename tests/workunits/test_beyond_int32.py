"""Every workunit with flat indices above 2^31 and 2^32, and with many neurons and rows.

The arrays have gigabytes of addresses; a page gets memory when it is written to.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mapped_memory import FAR, mapped

from kkspdnn.device.memory import peak_memory
from kkspdnn.device.space import Space
from kkspdnn.workunits import compact, first_layer, fused, spgemm_team, tiles

WIDE = 2**20 + 1
"""Neurons of a buffer of a tile."""

LANES = 1024

BUFFERS = 2, 2 * WIDE, LANES
"""The shape of two tiles of two buffers, of more than 2^32 numbers."""


@pytest.fixture(autouse=True)
def _on_the_host(space: Space) -> Any:
    if space.gpu:
        pytest.skip("the arrays would be copied to the GPU whole")
    before = peak_memory()
    yield
    assert peak_memory() - before < 3 * 10**9


def numbers(dtype: Any) -> dict[str, Any]:
    """No bias for sums of 0, and no activation."""
    one = dtype.type
    return {"zero": one(0), "unbiased": one(0), "low": one(-np.inf), "ymax": one(np.inf)}


def range_of(values: Any) -> Any:
    """The smallest and the largest value of each row, [tile][0 or 1][lane]."""
    return np.stack([values.min(axis=1), values.max(axis=1)], axis=1)


LAST = [WIDE - 1, 7, WIDE // 2 + 1]
"""The inputs of three neurons, some at the end of a buffer."""


def inputs_of(a: Any, buffer: int) -> Any:
    """Other values for each tile, input and lane."""
    values = (np.arange(2 * len(LAST) * LANES) % 97).reshape(2, len(LAST), LANES).astype(a.dtype)
    a[:, np.array(LAST) + buffer * WIDE] = values
    return values


def arguments(buffer: int, layer: int, lanes: int = LANES) -> dict[str, int]:
    return {
        "layer": layer, "buffer": buffer, "widest": WIDE, "blocks": 1, "width": 3, "outputs": 3,
        "lanes": lanes, "parts": 1,
    }  # fmt: skip


@pytest.mark.parametrize("buffer", [0, 1])
@pytest.mark.parametrize("layer", [0, 2**30])
@pytest.mark.parametrize("name", ["fused_fan_in", "fused_equal", "fused_csr"])
def test_layers_of_wide_tiles_and_of_long_stacks(
    space: Space, dtype: np.dtype[Any], name: str, layer: int, buffer: int
) -> None:
    """Layer 2^30 of three neurons each begins at neuron 3 * 2^30."""
    begin = 3 * layer
    a = mapped(BUFFERS, dtype)
    given = inputs_of(a, buffer)
    index = np.array([[LAST[0], LAST[1]], [LAST[1], LAST[2]], [LAST[2], LAST[0]]], np.uint32)
    order = [[0, 1], [1, 2], [2, 0]]
    shifts = mapped(begin + 3, dtype)
    shifts[begin:] = [1, 2, 3]
    weights: dict[str, Any] = {"bias": shifts}
    if name == "fused_csr":
        starts, sizes = mapped(begin + 3, np.int64), mapped(begin + 3, np.int32)
        starts[begin:] = FAR + np.array([0, 2, 4])
        sizes[begin:] = 2
        weights |= {"start": starts, "size": sizes, "index": mapped(FAR + 6, np.uint32)}
        weights["value"] = mapped(FAR + 6, dtype)
        weights["index"][FAR:], weights["value"][FAR:] = index.ravel(), 2
    else:
        weights |= {"index": mapped((begin + 3, 2), np.uint32), "fan_in": 2}
        weights["index"][begin:] = index
        if name == "fused_equal":
            weights["weight"] = dtype.type(2)
        else:
            weights["value"] = mapped((begin + 3, 2), dtype)
            weights["value"][begin:] = 2
    ranges = np.empty((2, 2, LANES), dtype)
    space.pk.parallel_for(
        name, space.teams(2), getattr(fused, name),
        a=a, ranges=ranges, depth=1, **weights, **numbers(dtype), **arguments(buffer, layer),
    )  # fmt: skip
    sums = 2 * given[:, order].sum(axis=2)
    expected = np.where(sums != 0, sums + np.array([1, 2, 3])[:, None], 0)
    target = (1 - buffer) * WIDE
    assert (a[:, target : target + 3] == expected).all()
    assert (ranges == range_of(expected)).all()


@pytest.mark.parametrize("layer", [0, 2**30])
def test_counts_of_wide_tiles(space: Space, dtype: np.dtype[Any], layer: int) -> None:
    """Bytes, then activations from them, and one more layer behind them."""
    begin = 3 * layer
    x = mapped(BUFFERS, np.uint8)
    given = inputs_of(x, 1) % 2
    x[:, np.array(LAST) + WIDE] = given
    index = mapped((begin + 3, 2), np.uint32)
    index[begin:] = [[LAST[0], LAST[1]], [LAST[1], LAST[2]], [LAST[2], LAST[0]]]
    where = arguments(1, layer)
    count_ranges, ranges = (np.empty((2, 2, LANES), each) for each in (np.uint8, dtype))
    space.pk.parallel_for(
        "count_edges", space.teams(2), first_layer.count_edges, x=x, ranges=count_ranges,
        index=index, fan_in=2, **where,
    )  # fmt: skip
    counts = given[:, [[0, 1], [1, 2], [2, 0]]].sum(axis=2)
    assert (count_ranges == range_of(counts)).all()
    assert (x[:, :3] == counts).all()

    # From the end of the second buffer into both buffers of the activations.
    last = 2 * WIDE - 3
    x[:, last:] = counts
    a = mapped(BUFFERS, dtype)
    shifts = mapped(begin + 3, dtype)
    shifts[begin:] = [1, 2, 3]
    index[begin:] = [[0, 1], [1, 2], [2, 0]]
    space.pk.parallel_for(
        "fused_counts", space.teams(2), first_layer.fused_counts, x=x, a=a,
        ranges=ranges, weight=dtype.type(2), bias=shifts,
        next_index=index, next_weight=dtype.type(1), next_bias=shifts,
        next_layer=layer, depth=1, count_offset=last, next_fan_in=2,
        **numbers(dtype), **{**where, "buffer": 0},
    )  # fmt: skip
    first = np.where(counts != 0, 2 * counts + np.array([1, 2, 3])[:, None], 0)
    assert (a[:, WIDE : WIDE + 3] == first).all()
    sums = first[:, [[0, 1], [1, 2], [2, 0]]].sum(axis=2)
    following = np.where(sums != 0, sums + np.array([1, 2, 3])[:, None], 0)
    assert (a[:, :3] == following).all()
    assert (ranges == range_of(following)).all()


def test_ranges_of_wide_tiles(space: Space, dtype: np.dtype[Any]) -> None:
    a = mapped(BUFFERS, dtype)
    first = 2 * WIDE - 5
    values = (np.arange(2 * 5 * LANES) % 89).reshape(2, 5, LANES)
    a[:, first:] = values
    ranges = np.empty((2, 2, 2, LANES), dtype)
    space.pk.parallel_for(
        "find_range", space.teams(2), compact.find_range, a=a, ranges=ranges.reshape(4, 2, LANES),
        first=first, neurons=5, parts=2, lanes=LANES,
    )  # fmt: skip
    assert (ranges[:, :, 0].min(axis=1) == values.min(axis=1)).all()
    assert (ranges[:, :, 1].max(axis=1) == values.max(axis=1)).all()


@pytest.mark.parametrize("kind", ["uint8", "float"])
def test_active_rows_of_many(space: Space, dtype: np.dtype[Any], kind: str) -> None:
    """The last of 2^30 rows, of 16 entries each."""
    values, limit = (dtype, dtype.type) if kind == "float" else (np.dtype(np.uint8), np.int32)
    rows, entries, lanes, stride, first = 2**30, 16, 16, 2**20, 2**19
    ranges = mapped((rows // lanes * entries, 2, lanes), values)
    ids, active_ids, offset = (mapped(rows, np.int64) for _ in range(3))
    active = np.array([rows - 65, rows - 33, rows - 1])
    ids[active] = active + 2**40
    for row in active:
        ranges[row // lanes * entries + entries - 1, 1, row % lanes] = 1
    total = space.pk.parallel_scan(
        "list_active", space.pk.RangePolicy(space.execution_space, rows - 70, rows),
        compact.list_active, ranges=ranges, max_zero=limit(0), min_saturated=limit(100),
        ymax=limit(200), ids=ids, active_ids=active_ids, offset=offset,
        first=first, stride=stride, entries=entries, lanes=lanes,
    )  # fmt: skip
    assert total == 3
    assert (active_ids[:3] == active + 2**40).all()
    assert (offset[:3] == (active // lanes * stride + first) * lanes + active % lanes).all()


def test_rows_are_copied_behind_many(space: Space, dtype: np.dtype[Any]) -> None:
    """Behind nearly 2^30 others, from offsets past 2^32."""
    lanes, neurons, first_row = 16, 3, 2**30 - 10
    x = mapped(FAR + 2**20, dtype)
    offset = FAR + np.arange(6, dtype=np.int64) * 1000
    values = np.arange(18).reshape(6, 3) + 1
    for j in range(neurons):
        x[offset + j * lanes] = values[:, j]
    a = mapped((2**26, 5, lanes), dtype)
    space.pk.parallel_for(
        "gather_rows", space.teams(1), compact.gather_rows, x=x, a=a, offset=offset,
        zero=dtype.type(0), first_row=first_row, count=6, first=2, neurons=neurons, lanes=lanes,
    )  # fmt: skip
    assert (a[-1, 2:, 6:12] == values.T).all()
    assert (a[-1, 2:, :6] == 0).all()
    assert (a[-1, 2:, 12:] == 0).all()


PERMUTATION = np.array([2 * WIDE - 1, 5, WIDE, 2 * WIDE - 2, 0, 77, WIDE + 1, 3, WIDE - 1, 9, 11])
"""Indices of eleven neurons in a tile."""


@pytest.mark.parametrize("kind", ["uint8", "float"])
def test_bits_into_wide_tiles(space: Space, dtype: np.dtype[Any], kind: str) -> None:
    rows = 2 * LANES
    bits = mapped((rows, WIDE), np.uint8)
    pixels = np.random.default_rng(1).integers(0, 2, (rows, PERMUTATION.size), np.uint8)
    bits[:, :2] = np.packbits(pixels, axis=1)
    y = mapped(BUFFERS, np.uint8 if kind == "uint8" else dtype)
    space.pk.parallel_for(
        "unpack_bits", space.teams(2), tiles.unpack_bits, bits=bits,
        permutation=PERMUTATION.astype(np.uint32),
        transposed=mapped((2, 2 * WIDE, LANES), np.uint8), y=y, rows=rows,
        neurons=PERMUTATION.size, row_bytes=2, lanes=LANES,
    )  # fmt: skip
    expected = pixels.reshape(2, LANES, -1).transpose(0, 2, 1)
    assert (y[:, PERMUTATION] == expected).all()


def test_dense_rows_into_wide_tiles_and_back(space: Space, dtype: np.dtype[Any]) -> None:
    rows = LANES + 5
    x = mapped((rows, 4 * WIDE), dtype)
    values = (np.arange(rows * PERMUTATION.size) % 101).reshape(rows, -1)
    x[:, : PERMUTATION.size] = values
    y = mapped(BUFFERS, dtype)
    permutation = PERMUTATION.astype(np.uint32)
    shared = {"rows": rows, "neurons": PERMUTATION.size, "lanes": LANES, "permutation": permutation}
    space.pk.parallel_for(
        "unpack_dense", space.teams(2), tiles.unpack_dense, x=x, y=y, zero=dtype.type(0), blocks=1,
        width=-(-PERMUTATION.size // 16), **shared,
    )  # fmt: skip
    assert (y[0][PERMUTATION] == values[:LANES].T).all()
    assert (y[1][PERMUTATION][:, :5] == values[LANES:].T).all()
    # From the second buffer, into the last of many rows.
    y[:, WIDE : 2 * WIDE - 1][:, [3, WIDE - 2]] = y[:, [5, 2 * WIDE - 1]]
    back = mapped((2**12, 2**20 + 3), dtype)
    ids = 2**12 - 1 - np.arange(rows, dtype=np.int64)
    shared |= {"neurons": 2, "permutation": np.array([3, WIDE - 2], np.uint32)}
    space.pk.parallel_for(
        "pack_dense", space.teams(2), tiles.pack_dense, a=y, ids=ids, y=back, first=WIDE, **shared
    )
    assert (back[ids, :2] == values[:, [1, 0]]).all()


def test_sparse_rows_into_wide_tiles(space: Space, dtype: np.dtype[Any]) -> None:
    rows = 2 * LANES
    y = mapped(BUFFERS, dtype)
    start = FAR + np.arange(rows + 1, dtype=np.int64)
    index, value = mapped(FAR + rows, np.uint32), mapped(FAR + rows, dtype)
    index[FAR:] = np.where(np.arange(rows) % 3, 2 * WIDE - 1, 6)
    value[FAR:] = np.arange(rows) + 1
    space.pk.parallel_for(
        "unpack_csr", space.range(rows), tiles.unpack_csr,
        start=start, index=index, value=value, y=y, lanes=LANES,
    )  # fmt: skip
    row = np.arange(rows)
    assert (y[row // LANES, index[FAR:], row % LANES] == row + 1).all()


def csr(space: Space, dtype: np.dtype[Any]) -> tuple[Any, Any, Any]:
    """Three rows whose entries begin past 2^32, in row_bytes near 2^30."""
    start = FAR + np.array([0, 2, 2, 5], np.int64)
    index, value = mapped(FAR + 5, np.uint32), mapped(FAR + 5, dtype)
    index[FAR:] = [4, 2**30 - 1, 0, 4, 2**30 - 2]
    value[FAR:] = [1, -2, 0, 3, 4]
    return start, index, value


def test_bias_and_relu_of_many_entries(space: Space, dtype: np.dtype[Any]) -> None:
    policy, more = space.row_teams(2, 2, 32), {"rows": 3, "team_rows": 2}
    start, index, value = csr(space, dtype)
    shifts = mapped(2**30, dtype)
    shifts[[0, 4, 2**30 - 2, 2**30 - 1]] = [9, 1, 2, 3]
    space.pk.parallel_for(
        "add_bias", policy, spgemm_team.add_bias_team,
        start=start, index=index, value=value, bias=shifts, **more,
    )  # fmt: skip
    assert value[FAR:].tolist() == [2, 1, 0, 4, 6]
    size = np.empty(3, np.int64)
    space.pk.parallel_for(
        "relu_symbolic", policy, spgemm_team.relu_symbolic_team,
        start=start, value=value, low=dtype.type(0), size=size, **more,
    )  # fmt: skip
    assert size.tolist() == [2, 0, 2]
    ystart = FAR + np.array([0, 2, 2, 4], np.int64)
    yindex, yvalue = mapped(FAR + 4, np.uint32), mapped(FAR + 4, dtype)
    space.pk.parallel_for(
        "relu_numeric", policy, spgemm_team.relu_numeric_team,
        zstart=start, zindex=index, zvalue=value, ystart=ystart, yindex=yindex, yvalue=yvalue,
        low=dtype.type(0), ymax=dtype.type(5), **more,
    )  # fmt: skip
    assert yindex[FAR:].tolist() == [4, 2**30 - 1, 4, 2**30 - 2]
    assert yvalue[FAR:].tolist() == [2, 1, 4, 5]


def test_products_in_the_last_team(space: Space, dtype: np.dtype[Any]) -> None:
    """The last of 2,047 teams, whose dense rows end before 2^31, has the only row with entries.
    Those of Y and Z are past 2^32, and those of W end before 2^31."""
    columns, teams, last = 2**20, 2047, 2**31 - 1024
    yindex, yvalue = mapped(FAR + 2, np.uint32), mapped(FAR + 2, dtype)
    yindex[FAR:], yvalue[FAR:] = [2, columns - 1], [5, 3]
    ystart = np.full(teams + 1, FAR, np.int64)
    ystart[-1] += 2
    wstart = np.zeros(columns + 1, np.int32)
    wstart[2], wstart[3], wstart[columns - 1], wstart[columns] = last - 4, last - 2, last - 2, last
    windex, wvalue = mapped(last, np.int32), mapped(last, dtype)
    position = np.arange(columns, dtype=np.int32)[::-1].copy()
    windex[-4:] = position[[0, columns - 1, 7, columns - 1]]
    wvalue[-4:] = [1, 2, 3, 4]
    shared = {
        "active": np.arange(teams, dtype=np.int32), "ystart": ystart, "yindex": yindex,
        "wstart": wstart, "windex": windex, "rows": teams, "workers": teams, "columns": columns,
    }  # fmt: skip
    size = np.empty(teams, np.int64)
    policy = space.row_teams(teams, 32, 1)
    space.pk.parallel_for(
        "spgemm_symbolic", policy, spgemm_team.spgemm_symbolic_team,
        size=size, stamp=mapped(teams * columns, np.int32), **shared,
    )  # fmt: skip
    assert size.tolist() == [0] * (teams - 1) + [3]
    zstart = np.full(teams + 1, FAR, np.int64)
    zstart[-1] += 3
    zindex, zvalue = mapped(FAR + 3, np.uint32), mapped(FAR + 3, dtype)
    accumulator = mapped(teams * columns, dtype)
    space.pk.parallel_for(
        "spgemm_numeric", policy, spgemm_team.spgemm_numeric_team,
        yvalue=yvalue, wvalue=wvalue, position=position, zstart=zstart, zindex=zindex,
        zvalue=zvalue, stamp=mapped(teams * columns, np.int32), accumulator=accumulator,
        zero=dtype.type(0), longest=2, bias=np.zeros(columns, dtype), size=size, fused=False,
        low=dtype.type(0), ymax=dtype.type(0), **shared,
    )  # fmt: skip
    assert zindex[FAR:].tolist() == [0, 7, columns - 1]
    assert zvalue[FAR:].tolist() == [5, 9, 5 * 2 + 3 * 4]
    assert not accumulator[-columns:].any()
