"""The workunits of the engines, with small arguments for a launch of each.

All values are small multiples of 1/16, so that every sum is exact in both types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import scipy.sparse as sp
from by_columns import Stored, allocate, read, store

from kkspdnn.engines.launch_trace import all_launches
from kkspdnn.engines.spgemm.grouping import ALL_DENSE
from kkspdnn.pk.codegen.pykokkos_source import PyKokkosSource
from kkspdnn.pk.compiler import generate_pykokkos
from kkspdnn.pk.dispatch import Specialization
from kkspdnn.pk.types import View

Types = Mapping[str, np.dtype[Any]]
"""The types of numbers and of the elements of views, of the parameters without annotation."""


@dataclass(frozen=True)
class Launch:
    """items: work items, or teams"""

    items: int
    arguments: dict[str, Any]


@cache
def specializations(space: Any, dtype: str) -> dict[str, list[Specialization]]:
    """All that runs can launch, by the name of the workunit."""
    found: dict[str, list[Specialization]] = {name: [] for name in LAUNCHES}
    for each in all_launches(space, np.dtype(dtype)):
        found[each[0].__name__].append(each)
    return found


@cache
def engine_sources(space: str, dtype: str) -> list[PyKokkosSource]:
    found = specializations(space, dtype).values()
    return [generate_pykokkos(*each) for launches in found for each in launches]


def engine_launch(launched: Specialization, lanes: int) -> Launch:
    """Return a launch with these types; the lanes of a tile do not matter for SpGEMM."""
    workunit, _, types = launched
    elements = (type_.element if isinstance(type_, View) else type_ for type_ in types)
    dtypes = dict(zip(workunit.generic, (each.numpy for each in elements), strict=True))
    return LAUNCHES[workunit.__name__](np.random.default_rng(lanes), dtypes, lanes)


def numbers(rng: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Random numbers, half of them zero."""
    values = rng.integers(0, 4, shape) if dtype == np.uint8 else rng.integers(-32, 33, shape) / 16
    return (values * rng.integers(0, 2, shape)).astype(dtype)


# ---- tiles --------------------------------------------------------------------------------------

TILES, PARTS = 2, 2


def ranges(dtype: Any, teams: int, lanes: int) -> Any:
    return np.full((teams * PARTS, 2, lanes), 99, dtype)


def fused(rng: Any, types: Types, lanes: int, outputs: int = 3) -> dict[str, Any]:
    """What the kernels of `fused` have in common: two layers, the second and third of a group."""
    dtype = types["a"]
    widest = outputs + 1
    return {
        "a": numbers(rng, (TILES, 2 * widest, lanes), dtype),
        "ranges": ranges(dtype, TILES, lanes), "bias": numbers(rng, (3 * outputs,), dtype),
        "zero": dtype.type(0), "unbiased": dtype.type(0), "low": dtype.type(0),
        "ymax": dtype.type(2), "layer": 1, "depth": 2, "buffer": 1, "widest": widest, "blocks": 1,
        "width": outputs, "parts": PARTS, "outputs": outputs, "lanes": lanes,
    }  # fmt: skip


def fused_fan_in(rng: Any, types: Types, lanes: int) -> Launch:
    index = rng.integers(0, 3, (9, 2)).astype(types["index"])
    own = {"index": index, "value": numbers(rng, index.shape, types["value"]), "fan_in": 2}
    return Launch(TILES, {**fused(rng, types, lanes), **own})


def fused_equal(rng: Any, types: Types, lanes: int) -> Launch:
    index = rng.integers(0, 3, (9, 2)).astype(types["index"])
    own = {"index": index, "weight": types["weight"].type(0.5), "fan_in": 2}
    return Launch(TILES, {**fused(rng, types, lanes), **own})


def edges(rng: Any, types: Types, size: Any, *weights: int) -> dict[str, Any]:
    """Edges of rows of these sizes; weights: the shape of those of an edge"""
    start = np.append(0, np.cumsum(size)[:-1])
    return {
        "start": start.astype(np.int64),
        "size": size.astype(np.int32),
        "index": rng.integers(0, 3, size.sum()).astype(types["index"]),
        "value": numbers(rng, (size.sum(), *weights), types["value"]),
    }


def fused_csr(rng: Any, types: Types, lanes: int) -> Launch:
    own = edges(rng, types, rng.integers(0, 4, 9))
    return Launch(TILES, {**fused(rng, types, lanes), **own})


def fused_groups(rng: Any, types: Types, lanes: int) -> Launch:
    """One layer of 9 outputs, in two groups that overlap, of two edges each."""
    own = edges(rng, types, np.full(6, 2), 8)
    own["index"][6:8] = own["index"][4:6]
    own["value"][6:8, :-1] = own["value"][4:6, 1:]
    first = np.tile(np.array([0, 1], np.int32), 3)
    one = {"first_output": first, "groups": 2, "width": 2, "depth": 1}
    return Launch(TILES, {**fused(rng, types, lanes, 9), **own, **one})


def fused_pairs(rng: Any, types: Types, lanes: int) -> Launch:
    """Five outputs in units of two, two and one, with two blocks of inputs."""
    neuron = np.tile(np.repeat([[0, 1], [2, 3], [4, 4]], 2, axis=0), (3, 1)).astype(np.int32)
    size = rng.integers(0, 4, neuron.shape[0])
    own = edges(rng, types, size, 2)
    own["index"] = rng.integers(0, 5, own["value"].shape).astype(types["index"])
    same_twice = np.repeat(neuron[:, 0] == 4, size)
    for each in own["index"], own["value"]:
        each[same_twice, 1] = each[same_twice, 0]
    own |= {"neuron": neuron, "units": 3, "unit_outputs": 2, "input_blocks": 2, "width": 3}
    return Launch(TILES, {**fused(rng, types, lanes, 5), **own})


def unpack_active(rng: Any, types: Types, lanes: int) -> Launch:
    """Five inputs, three for a team. One is zero in all rows of a tile."""
    rows = TILES * lanes - lanes // 2
    x = numbers(rng, (rows, 5), types["x"])
    x[lanes:, 2] = 0
    return Launch(
        2,
        {
            "x": x, "y": numbers(rng, (TILES, 5, lanes), types["y"]),
            "active": np.full((TILES, 6), 99, np.int32), "count": np.full((TILES, 2), 99, np.int32),
            "zero": types["zero"].type(0), "rows": rows, "neurons": 5, "width": 3, "tiles": TILES,
            "lanes": lanes,
        },
    )  # fmt: skip


def fused_inputs(rng: Any, types: Types, lanes: int) -> Launch:
    """Eight outputs in two blocks, with up to five edges from an input to a block."""
    dtype, inputs, width, blocks = types["x"], 4, 5, 2
    lists = [rng.permutation(n)[: rng.integers(0, n + 1)] for n in inputs * [5] + inputs * [3]]
    padded = [np.append(each, [width] * (-each.size % 4)) for each in lists]
    index = np.concatenate(padded).astype(types["index"])
    x = numbers(rng, (TILES, inputs, lanes), dtype)
    x[0, 1] = 0
    return Launch(
        TILES * blocks,
        {
            "x": x, "y": numbers(rng, (TILES, 8, lanes), types["y"]),
            "sums": numbers(rng, (TILES * blocks, width + 2, lanes), types["sums"]),
            # All inputs but the second, in blocks of three and one.
            "active": np.tile(np.array([0, 2, 99, 3], np.int32), (TILES, 1)),
            "count": np.tile(np.array([2, 1], np.int32), (TILES, 1)),
            "input_blocks": 2, "input_width": 3,
            "next_active": np.full((TILES, 10), 99, np.int32),
            "next_count": np.full((TILES, 2), 99, np.int32),
            "start": np.append(0, np.cumsum([each.size for each in padded])).astype(np.int64),
            "index": index,
            "value": np.where(index < width, numbers(rng, index.shape, dtype), 0).astype(dtype),
            "bias": numbers(rng, (8,), dtype), "zero": dtype.type(0), "unbiased": dtype.type(0),
            "low": dtype.type(0), "ymax": dtype.type(2), "tiles": TILES, "inputs": inputs,
            "outputs": 8, "width": width, "lanes": lanes,
        },
    )  # fmt: skip


def fused_dense(rng: Any, types: Types, lanes: int) -> Launch:
    """Five outputs in two blocks of three."""
    dtype, rows = types["x"], TILES * lanes - lanes // 2
    teams = TILES * lanes // (4 if lanes % 4 == 0 else 1)
    value = numbers(rng, (2, 4, 3), types["value"])
    value[1, :, 2] = 0
    return Launch(
        2 * teams,
        {
            "x": numbers(rng, (TILES, 4, lanes), dtype), "y": numbers(rng, (rows, 5), types["y"]),
            "sums": numbers(rng, (2, TILES * lanes, 3), types["sums"]), "value": value,
            "bias": numbers(rng, (5,), dtype), "zero": dtype.type(0), "unbiased": dtype.type(0),
            "low": dtype.type(0), "ymax": dtype.type(2), "rows": rows, "teams": teams, "inputs": 4,
            "outputs": 5, "width": 3, "lanes": lanes,
        },
    )  # fmt: skip


def count_edges(rng: Any, types: Types, lanes: int) -> Launch:
    return Launch(
        2 * TILES,
        {
            "x": rng.integers(0, 2, (TILES, 10, lanes)).astype(np.uint8),
            "ranges": ranges(np.uint8, 2 * TILES, lanes),
            "index": rng.integers(0, 3, (6, 2)).astype(types["index"]),
            "layer": 1, "buffer": 1, "widest": 5, "blocks": 2, "width": 2, "parts": PARTS,
            "outputs": 3, "fan_in": 2, "lanes": lanes,
        },
    )  # fmt: skip


def fused_counts(rng: Any, types: Types, lanes: int) -> Launch:
    given = fused(rng, types, lanes)
    counts = rng.integers(0, 3, (TILES, 8, lanes)).astype(np.uint8)
    number = types["weight"].type
    own = {
        "x": counts, "count_offset": 4, "weight": number(0.25), "next_layer": 0, "next_fan_in": 2,
        "next_index": rng.integers(0, 3, (6, 2)).astype(types["next_index"]),
        "next_weight": number(0.5), "next_bias": numbers(rng, (6,), types["next_bias"]),
    }  # fmt: skip
    return Launch(TILES, {**given, **own})


def find_range(rng: Any, types: Types, lanes: int) -> Launch:
    a = numbers(rng, (TILES, 6, lanes), types["a"])
    own = {"a": a, "ranges": ranges(a.dtype, TILES, lanes)}
    return Launch(TILES, {**own, "first": 1, "neurons": 3, "parts": PARTS, "lanes": lanes})


def list_active(rng: Any, types: Types, lanes: int) -> Launch:
    rows = TILES * lanes - 1
    bounds = {"max_zero": 0, "min_saturated": 1, "ymax": 2}
    number = int if types["ymax"] == np.int32 else types["ymax"].type
    return Launch(
        rows,
        {
            "ranges": numbers(rng, (TILES * PARTS, 2, lanes), types["ranges"]),
            **{name: number(value) for name, value in bounds.items()},
            "ids": np.arange(rows, dtype=np.int64) + 2**40,
            "active_ids": np.zeros(rows, np.int64), "offset": np.zeros(rows, np.int64),
            "first": 1, "stride": 2**30, "entries": PARTS, "lanes": lanes,
        },
    )  # fmt: skip


def gather_rows(rng: Any, types: Types, lanes: int) -> Launch:
    """Behind some rows of the first tile, and before lanes of the second one."""
    dtype, count = types["x"], lanes + lanes // 3
    x = numbers(rng, (3 * lanes * 4,), dtype)
    return Launch(
        TILES,
        {
            "x": x, "a": numbers(rng, (TILES, 5, lanes), dtype),
            "offset": rng.integers(0, x.size - 3 * lanes, count), "zero": dtype.type(0),
            "first_row": lanes // 2, "count": count, "first": 2, "neurons": 3, "lanes": lanes,
        },
    )  # fmt: skip


def unpacked(rng: Any, types: Types, lanes: int, neurons: int) -> dict[str, Any]:
    """Rows that fill the first tile and a part of the second one."""
    return {
        "permutation": rng.permutation(neurons).astype(types["permutation"]),
        "y": numbers(rng, (TILES, neurons, lanes), types["y"]),
        "rows": lanes + (lanes + 1) // 2, "neurons": neurons, "lanes": lanes,
    }  # fmt: skip


def unpack_bits(rng: Any, types: Types, lanes: int) -> Launch:
    given = unpacked(rng, types, lanes, 11)
    bits = rng.integers(0, 256, (given["rows"], 2)).astype(np.uint8)
    transposed = np.full((TILES, 2, lanes), 99, np.uint8)
    return Launch(TILES, {**given, "bits": bits, "transposed": transposed, "row_bytes": 2})


def unpack_dense(rng: Any, types: Types, lanes: int) -> Launch:
    given = unpacked(rng, types, lanes, 17)
    x = numbers(rng, (given["rows"], 17), types["x"])
    own = {"x": x, "zero": types["zero"].type(0), "blocks": 2, "width": 1}
    return Launch(2 * TILES, {**given, **own})


def sum_squares(rng: Any, types: Types, lanes: int) -> Launch:
    a = numbers(rng, (TILES, 19, lanes), types["a"])
    squares = np.full((2 * TILES, lanes), np.nan, types["squares"])
    own = {"zero": types["zero"].type(0), "neurons": 17, "blocks": 2, "width": 1}
    return Launch(2 * TILES, {"a": a, "squares": squares, **own, "lanes": lanes})


def check_squares(rng: Any, types: Types, lanes: int) -> Launch:
    squares = numbers(rng, (3, lanes), types["squares"])
    limit = types["limit"].type(2 if lanes % 2 else 1)
    own = {"limit": limit, "exceeded": np.full(1, 99, np.int32), "teams": 2}
    return Launch(1, {"squares": squares, **own, "lanes": lanes})


def pack_dense(rng: Any, types: Types, lanes: int) -> Launch:
    given = unpacked(rng, types, lanes, 17)
    given["a"] = numbers(rng, (TILES, 19, lanes), types["a"])
    given["y"] = numbers(rng, (2 * given["rows"], 17), types["y"])
    given["ids"] = 2 * rng.permutation(given["rows"]).astype(np.int64)
    return Launch(TILES, {**given, "first": 2})


# ---- CSR ----------------------------------------------------------------------------------------

ROWS, INPUTS, OUTPUTS = 5, 6, 40


def csr(rng: Any, rows: int, columns: int, dtype: Any = np.float64) -> sp.csr_array:
    return sp.csr_array(numbers(rng, (rows, columns), dtype))


def arrays(matrix: sp.csr_array, prefix: str = "", value: str = "") -> dict[str, Any]:
    found = {
        f"{prefix}start": matrix.indptr.astype(np.int64),
        f"{prefix}index": matrix.indices.astype(np.uint32),
    }
    return {**found, value: matrix.data} if value else found


def unpack_csr(rng: Any, types: Types, lanes: int) -> Launch:
    rows = lanes + 1
    matrix = csr(rng, rows, 3, types["value"])
    y = np.zeros((TILES, 3, lanes), types["y"])
    return Launch(rows, {**arrays(matrix, value="value"), "y": y, "lanes": lanes})


def offsets(rng: Any, types: Types, lanes: int) -> Launch:
    size = rng.integers(0, 2**33, 7)
    return Launch(7, {"size": size, "start": np.zeros(8, np.int64)})


def packed_bits(rng: Any) -> Any:
    bits = rng.integers(0, 256, (ROWS, 3)).astype(np.uint8)
    bits[1] = 0
    return bits


def count_bits(rng: Any, types: Types, lanes: int) -> Launch:
    own = {"size": np.zeros(ROWS, np.int64), "row_bytes": 3}
    return Launch(ROWS, {"bits": packed_bits(rng), **own})


def bits_to_csr(rng: Any, types: Types, lanes: int) -> Launch:
    bits = packed_bits(rng)
    start = np.append(0, np.cumsum(np.unpackbits(bits, axis=1).sum(axis=1, dtype=np.int64)))
    own = {
        "start": start, "index": np.full(start[-1], 99, np.uint32),
        "value": np.full(start[-1], np.nan, types["value"]), "one": types["one"].type(1),
    }  # fmt: skip
    return Launch(ROWS, {"bits": bits, **own, "row_bytes": 3})


# ---- columns ------------------------------------------------------------------------------------

BATCH_ROWS, SIZE, LIMIT = 39, 16, 4
"""Rows in three batches, the last one partly filled. A list has at most 4 entries."""


def batches(rng: Any, columns: int, dtype: Any, limit: int = LIMIT) -> Stored:
    """Columns of all forms: some dense, some lists, some without entries."""
    matrix = numbers(rng, (BATCH_ROWS, columns), dtype)
    matrix[:, ::3] *= (rng.random((BATCH_ROWS, len(range(0, columns, 3)))) < 0.2).astype(dtype)
    matrix[:, 4] = 0
    return store(matrix, SIZE, limit)


def empty_batches(columns: int, dtype: Any, blocks: int = 1) -> Stored:
    capacity = blocks * (-(-columns // blocks) * LIMIT + SIZE)
    return allocate(BATCH_ROWS, SIZE, columns, dtype, capacity)


def without(arguments: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if name not in names}


def clear_dense(rng: Any, types: Types, lanes: int) -> Launch:
    y = empty_batches(INPUTS, types["dense"])
    return Launch(3, {"dense": y.dense, "step": 2, **y.scalars("size", "columns")})


def clear_lists(rng: Any, types: Types, lanes: int) -> Launch:
    y = empty_batches(INPUTS, types["value"])
    storage = y.storage()
    own = {"index": storage["index"], "value": storage["value"], "entries": 5}
    return Launch(3, {**own, **y.scalars("capacity")})


def csr_to_columns(rng: Any, types: Types, lanes: int) -> Launch:
    """The rows of a matrix with more rows, in another order."""
    matrix = csr(rng, 2 * BATCH_ROWS, INPUTS, types["value"])
    y = empty_batches(INPUTS, types["dense"])
    own = {
        "start": matrix.indptr.astype(np.int64), "csr_index": matrix.indices.astype(np.uint32),
        "csr_value": matrix.data, "selected": rng.permutation(2 * BATCH_ROWS)[:BATCH_ROWS],
        "cursor": np.full_like(y.place, 99), "batch_rows": y.batch_rows, "sparse_limit": LIMIT,
    }  # fmt: skip
    return Launch(3, {**own, **y.storage(), **y.scalars("rows", "size", "columns", "capacity")})


def select_dense_rows(rng: Any, types: Types, lanes: int) -> Launch:
    """Some of the rows, in another order."""
    y, z = batches(rng, INPUTS, types["ydense"], ALL_DENSE), empty_batches(INPUTS, types["dense"])
    row_batch, row_lane = np.divmod(rng.permutation(BATCH_ROWS)[: BATCH_ROWS - 3], SIZE)
    own = {
        "ydense": y.dense, "row_batch": row_batch.astype(np.int32),
        "row_lane": row_lane.astype(np.int32), "count": z.count, "place": z.place,
        "dense": z.dense, "rows": BATCH_ROWS - 3,
    }  # fmt: skip
    return Launch(3, {**own, **z.scalars("batch_rows", "size", "columns")})


def count_row_entries(rng: Any, types: Types, lanes: int) -> Launch:
    y = batches(rng, INPUTS, types["dense"])
    own = {**without(y.storage(), "value"), "entries": np.full(BATCH_ROWS, 99, np.int64)}
    return Launch(3, {**own, **y.scalars("rows", "size", "columns", "capacity")})


def columns_to_csr(rng: Any, types: Types, lanes: int) -> Launch:
    y = batches(rng, INPUTS, types["dense"])
    start = np.append(0, np.cumsum((read(y) != 0).sum(axis=1))).astype(np.int64)
    own = {
        "start": start, "cursor": np.full(BATCH_ROWS, 99, np.int64),
        "csr_index": np.full(start[-1], 99, np.uint32),
        "csr_value": np.full(start[-1], np.nan, types["csr_value"]),
    }  # fmt: skip
    return Launch(3, {**own, **y.storage(), **y.scalars("rows", "size", "columns", "capacity")})


def find_column_ranges(rng: Any, types: Types, lanes: int) -> Launch:
    y = batches(rng, INPUTS, types["dense"])
    number = types["zero"].type
    own = {
        "smallest": np.full((3, SIZE), np.nan, types["smallest"]),
        "largest": np.full((3, SIZE), np.nan, types["largest"]),
        "listed": np.full((3, SIZE), 99, np.int32), "zero": number(0), "infinity": number(np.inf),
    }  # fmt: skip
    return Launch(3, {**y.storage(), **own, **y.scalars("batch_rows", "columns", "capacity")})


def count_not_finite(rng: Any, types: Types, lanes: int) -> Launch:
    y = batches(rng, INPUTS, types["dense"])
    y.dense[y.dense == 1] = np.inf
    y.value[y.value == -1] = np.nan
    scalars = y.scalars("batch_rows", "columns", "capacity")
    return Launch(3, {**without(y.storage(), "index"), **scalars})


def multiply(rng: Any, types: Types, lanes: int) -> Launch:
    """Two teams have the items of three batches and three blocks. Some outputs have no edges."""
    dtype, outputs, blocks, teams = types["yvalue"], 10, 3, 2
    y = batches(rng, INPUTS, dtype)
    w = numbers(rng, (INPUTS, outputs), dtype)
    w[:, 3], w[:, 5] = 0, np.eye(INPUTS)[4]
    edges = sp.csc_array(w)
    z = empty_batches(outputs, dtype, blocks)
    own = {
        "wstart": edges.indptr.astype(np.int64), "windex": edges.indices.astype(types["windex"]),
        "wvalue": edges.data, "order": rng.permutation(outputs).astype(np.uint32),
        "bias": numbers(rng, (outputs,), types["bias"]),
        "first_item": np.array([0, 4, 9], np.int32), "multiplications": np.zeros(9, np.int64),
        "accumulator": np.zeros((teams, SIZE), types["accumulator"]),
        "touched": np.full((teams, SIZE + 1), 99, np.uint16),
        "edge_place": np.full((teams, INPUTS + 1), 99, np.int32),
        "edge_count": np.full((teams, INPUTS + 1), 99, np.int32),
        "edge_weight": np.full((teams, INPUTS + 1), 99, types["edge_weight"]),
        "zero": dtype.type(0), "low": dtype.type(0), "ymax": dtype.type(1), "inputs": INPUTS,
        "outputs": outputs, "blocks": blocks, "width": 4, "sparse_limit": LIMIT,
        "ycapacity": y.capacity, "zcapacity": z.capacity // blocks, "batch_rows": y.batch_rows,
    }  # fmt: skip
    return Launch(teams, {**y.storage("y"), **z.storage("z"), **own})


def multiply_dense(rng: Any, types: Types, lanes: int) -> Launch:
    dtype, outputs, blocks = types["ydense"], 10, 3
    y, z = batches(rng, INPUTS, dtype, ALL_DENSE), empty_batches(outputs, dtype, blocks)
    edges = sp.csc_array(numbers(rng, (INPUTS, outputs), dtype))
    own = {
        "ycount": y.count, "ydense": y.dense, "zcount": z.count, "zplace": z.place,
        "zdense": z.dense, "wstart": edges.indptr.astype(np.int64),
        "windex": edges.indices.astype(types["windex"]), "wvalue": edges.data,
        "order": rng.permutation(outputs).astype(np.uint32),
        "out_degree": np.bincount(edges.indices, minlength=INPUTS),
        "bias": numbers(rng, (outputs,), dtype), "multiplications": np.full(9, 99, np.int64),
        "nonzeros": np.full(9, 99, np.int64), "zero": dtype.type(0), "low": dtype.type(0),
        "ymax": dtype.type(1), "inputs": INPUTS, "outputs": outputs, "blocks": blocks, "width": 4,
        "batch_rows": y.batch_rows,
    }  # fmt: skip
    return Launch(9, own)


def multiply_rows(rng: Any, types: Types, lanes: int) -> Launch:
    """Two teams have rows of Y, one of which is empty. Some inputs have no edges."""
    dtype, outputs, teams = types["yvalue"], 10, 2
    y = csr(rng, BATCH_ROWS, INPUTS, dtype)
    w = numbers(rng, (INPUTS, outputs), dtype)
    w[3] = 0
    edges, most = sp.csr_array(w), BATCH_ROWS * outputs
    own = {
        "ystart": y.indptr.astype(np.int64), "yindex": y.indices.astype(np.uint32),
        "yvalue": y.data, "wstart": edges.indptr.astype(np.int64),
        "windex": edges.indices.astype(types["windex"]), "wvalue": edges.data,
        "bias": numbers(rng, (outputs,), types["bias"]),
        "zstart": np.full(BATCH_ROWS + teams, 99, np.int64),
        "zindex": np.full(most, 99, np.uint32), "zvalue": np.full(most, 99, types["zvalue"]),
        "first_row": np.array([0, 20, BATCH_ROWS], np.int32),
        "first_entry": np.array([0, 20 * outputs, most]),
        "accumulator": np.zeros((teams, 16), types["accumulator"]),
        "activated": np.full((teams, 16), 99, types["activated"]),
        "zero": dtype.type(0), "low": dtype.type(0), "ymax": dtype.type(1), "outputs": outputs,
    }  # fmt: skip
    return Launch(teams, own)


def add_bias(rng: Any, types: Types, lanes: int) -> Launch:
    z = batches(rng, INPUTS, types["dense"])
    own = {"bias": numbers(rng, (INPUTS,), types["bias"])}
    scalars = z.scalars("batch_rows", "columns", "capacity")
    return Launch(3, {**without(z.storage(), "index"), **own, **scalars})


def relu(rng: Any, types: Types, lanes: int) -> Launch:
    z = batches(rng, INPUTS, types["zdense"])
    y = empty_batches(INPUTS, types["ydense"])
    number = types["low"].type
    own = {"low": number(0), "ymax": number(1), "sparse_limit": LIMIT}
    scalars = z.scalars("batch_rows", "columns", "capacity")
    return Launch(3, {**z.storage("z"), **y.storage("y"), **own, **scalars})


# ---- CSR, on a GPU ------------------------------------------------------------------------------


def product(rng: Any, dtype: Any = np.float64) -> tuple[sp.csr_array, sp.csr_array, Any]:
    """Y, W, and the numbers of entries of the rows of Y W. The last row of Y is full."""
    y, w = numbers(rng, (ROWS, INPUTS), dtype), csr(rng, INPUTS, OUTPUTS, dtype)
    y[0], y[-1] = 0, 1
    w_pattern = (w != 0).astype(np.int64)
    return sp.csr_array(y), w, np.diff(sp.csr_array((y != 0).astype(np.int64) @ w_pattern).indptr)


def outputs_of(size: Any, dtype: Any) -> dict[str, Any]:
    total = int(size.sum())
    return {
        "zstart": np.append(0, np.cumsum(size)).astype(np.int64),
        "zindex": np.full(total, 99, np.uint32),
        "zvalue": np.full(total, np.nan, dtype),
    }


def count_selected(rng: Any, types: Types, lanes: int) -> Launch:
    start = csr(rng, ROWS, INPUTS).indptr.astype(np.int64)
    own = {"selected": np.array([3, 0, 3]), "size": np.full(3, 99, np.int64)}
    return Launch(3, {"start": start, **own})


def copy_selected(rng: Any, types: Types, lanes: int) -> Launch:
    matrix, selected = csr(rng, ROWS, INPUTS, types["value"]), np.array([3, 0, 3])
    start = np.append(0, np.cumsum(np.diff(matrix.indptr)[selected])).astype(np.int64)
    own = {
        "selected": selected, "selected_start": start,
        "selected_index": np.full(start[-1], 99, np.uint32),
        "selected_value": np.full(start[-1], np.nan, types["selected_value"]),
    }  # fmt: skip
    return Launch(3, {**arrays(matrix, value="value"), **own})


def find_csr_ranges(rng: Any, types: Types, lanes: int) -> Launch:
    matrix, number = csr(rng, ROWS, INPUTS, types["value"]), types["zero"].type
    own = {
        "value": matrix.data, "smallest": np.full(ROWS, np.nan, types["smallest"]),
        "largest": np.full(ROWS, np.nan, types["largest"]), "zero": number(0),
        "infinity": number(np.inf), "columns": INPUTS,
    }  # fmt: skip
    return Launch(ROWS, {"start": matrix.indptr.astype(np.int64), **own})


def list_active_rows(rng: Any, types: Types, lanes: int) -> Launch:
    y, _, _ = product(rng)
    start = y.indptr.astype(np.int64)
    return Launch(ROWS, {"start": start, "active": np.full(ROWS, -1, np.int32)})


def count_multiplications(rng: Any, types: Types, lanes: int) -> Launch:
    y, w, _ = product(rng)
    own = {"wstart": w.indptr.astype(np.int32), "entries": y.nnz, "stride": 4}
    return Launch(4, {"yindex": y.indices.astype(np.uint32), **own})


def in_teams(rng: Any, y: sp.csr_array, w: sp.csr_array) -> dict[str, Any]:
    active = np.flatnonzero(np.diff(y.indptr)).astype(np.int32)
    return {
        **arrays(y, "y"), "active": active, "wstart": w.indptr.astype(np.int32),
        "windex": w.indices.astype(np.int32), "stamp": np.zeros(2 * OUTPUTS, np.int32),
        "rows": active.size, "workers": 2, "columns": OUTPUTS,
    }  # fmt: skip


def spgemm_symbolic_team(rng: Any, types: Types, lanes: int) -> Launch:
    y, w, _ = product(rng)
    return Launch(2, {**in_teams(rng, y, w), "size": np.zeros(ROWS, np.int64)})


def spgemm_numeric_team(rng: Any, types: Types, lanes: int) -> Launch:
    """Bias and ReLU are applied if the number of lanes, which has no other meaning, is odd."""
    dtype = types["yvalue"]
    y, w, size = product(rng, dtype)
    position = rng.permutation(OUTPUTS).astype(np.int32)
    given = in_teams(rng, y, w)
    own = {
        "yvalue": y.data, "wvalue": w.data, "position": position,
        "windex": position[given["windex"]], "accumulator": np.zeros(2 * OUTPUTS, dtype),
        "zero": dtype.type(0), "longest": int(np.diff(w.indptr).max()),
        "bias": numbers(rng, (OUTPUTS,), types["bias"]), "size": np.zeros(ROWS, np.int64),
        "low": dtype.type(0), "ymax": dtype.type(1), "fused": lanes % 2 == 1,
    }  # fmt: skip
    return Launch(2, {**given, **outputs_of(size, dtype), **own})


TEAM_ROWS = 3


def team_rows() -> dict[str, Any]:
    return {"rows": ROWS, "team_rows": TEAM_ROWS}


def sums(rng: Any, dtype: Any) -> sp.csr_array:
    """Return a matrix in which some entries are 0, as sums that cancelled."""
    z = csr(rng, ROWS, OUTPUTS, dtype)
    z.data[::3] = 0
    return z


def add_bias_team(rng: Any, types: Types, lanes: int) -> Launch:
    z = sums(rng, types["value"])
    own = {**arrays(z, value="value"), "bias": numbers(rng, (OUTPUTS,), types["bias"])}
    return Launch(-(-ROWS // TEAM_ROWS), {**own, **team_rows()})


def relu_symbolic_team(rng: Any, types: Types, lanes: int) -> Launch:
    z = sums(rng, types["value"])
    own = {"value": z.data, "low": types["low"].type(0), "size": np.zeros(ROWS, np.int64)}
    start = z.indptr.astype(np.int64)
    return Launch(-(-ROWS // TEAM_ROWS), {"start": start, **own, **team_rows()})


def relu_numeric_team(rng: Any, types: Types, lanes: int) -> Launch:
    dtype = types["zvalue"]
    z = sums(rng, dtype)
    kept = sp.csr_array(np.maximum(z.toarray(), 0))
    own = {
        "ystart": kept.indptr.astype(np.int64), "yindex": np.full(kept.nnz, 99, np.uint32),
        "yvalue": np.full(kept.nnz, np.nan, dtype), "low": dtype.type(0), "ymax": dtype.type(1),
    }  # fmt: skip
    return Launch(-(-ROWS // TEAM_ROWS), {**arrays(z, "z", "zvalue"), **own, **team_rows()})


def copy_rows_team(rng: Any, types: Types, lanes: int) -> Launch:
    z = sums(rng, types["zvalue"])
    size = np.diff(z.indptr) // 2
    own = {
        "ystart": np.append(0, np.cumsum(size)).astype(np.int64),
        "yindex": np.full(size.sum(), 99, np.uint32),
        "yvalue": np.full(size.sum(), np.nan, types["yvalue"]),
    }
    return Launch(-(-ROWS // TEAM_ROWS), {**arrays(z, "z", "zvalue"), **own, **team_rows()})


Build = Callable[[Any, Types, int], Launch]

LAUNCHES: dict[str, Build] = {
    each.__name__: each
    for each in (
        fused_fan_in, fused_equal, fused_csr, fused_groups, fused_pairs, unpack_active,
        fused_inputs, fused_dense,
        count_edges, fused_counts, find_range, list_active, gather_rows, unpack_bits, unpack_csr,
        unpack_dense, sum_squares, check_squares, pack_dense,
        offsets, count_bits, bits_to_csr, clear_dense, clear_lists, csr_to_columns,
        select_dense_rows, count_row_entries, columns_to_csr, find_column_ranges,
        count_not_finite, multiply, multiply_dense, multiply_rows, add_bias, relu,
        count_selected, copy_selected, find_csr_ranges, list_active_rows, count_multiplications,
        spgemm_symbolic_team, spgemm_numeric_team, add_bias_team, relu_symbolic_team,
        relu_numeric_team, copy_rows_team,
    )
}  # fmt: skip
