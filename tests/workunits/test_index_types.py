"""Every workunit with every type of index: those of `index_dtype`, and all others that the
docstrings call "any integer type"."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import numpy as np
import pytest

from kkspdnn import workunits
from kkspdnn.device.space import Space
from kkspdnn.pk import ir
from kkspdnn.pk.compiler import generate
from kkspdnn.pk.frontend.analyse import analyse
from kkspdnn.pk.frontend.parse import parse
from kkspdnn.pk.frontend.workunit import Workunit
from kkspdnn.pk.passes.vectorize import BYTE_LOOP_UNROLL, vectorize
from kkspdnn.pk.passes.walk import subexpressions
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.signature import Types
from kkspdnn.pk.types import FLOAT, INT32, SCALARS, UINT8, Scalar, View
from kkspdnn.workunits import first_layer, fused, tiles

WORKUNITS = {
    name: value
    for module in iter_modules(workunits.__path__)
    for name, value in inspect.getmembers(
        import_module(f"kkspdnn.workunits.{module.name}"),
        lambda each: isinstance(each, Workunit),
    )
}

INDICES = ("index", "next_index", "permutation", "windex")

INTEGERS = [kind for kind in SCALARS.values() if kind.is_int]

_RANKS = {
    "a": 3, "ranges": 3, "x": 2, "y": 3, "index": 2, "next_index": 2,
    "dense": 2, "ydense": 2, "zdense": 2, "edge_weight": 2,
}  # fmt: skip
_OWN_RANKS = {
    "fused_fan_in": {"value": 2},
    "fused_groups": {"value": 2, "index": 1},
    "fused_pairs": {"value": 2},
    "fused_inputs": {"x": 3, "sums": 3, "index": 1},
    "fused_dense": {"x": 3, "y": 2, "sums": 3, "value": 3},
    "sum_squares": {"squares": 2},
    "check_squares": {"squares": 2},
    "fused_csr": {"index": 1},
    "gather_rows": {"x": 1},
    "pack_dense": {"y": 2},
    "find_column_ranges": {"smallest": 2, "largest": 2},
    "multiply": {"accumulator": 2},
    "multiply_rows": {"accumulator": 2, "activated": 2},
}
"""Ranks of views; those of the others are 1."""

_NUMBERS = (
    "zero", "unbiased", "low", "ymax", "weight", "next_weight", "max_zero", "min_saturated",
    "infinity", "one", "limit",
)  # fmt: skip


def types_of(workunit: Workunit, index: Scalar, number: Scalar = FLOAT) -> Types:
    """Return the types of the parameters without annotation."""
    ranks = {**_RANKS, **_OWN_RANKS.get(workunit.__name__, {})}
    found = []
    for name in workunit.generic:
        kind = index if name in INDICES else number
        found.append(kind if name in _NUMBERS else View(kind, ranks.get(name, 1)))
    return tuple(found)


def test_every_workunit_is_known() -> None:
    assert len(WORKUNITS) == 46
    assert {name for w in WORKUNITS.values() for name in w.generic} & set(INDICES) == set(INDICES)


@pytest.mark.parametrize("space", ExecutionSpace)
@pytest.mark.parametrize("index", INTEGERS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("name", sorted(WORKUNITS))
def test_the_compiler_takes_every_type_of_index(
    name: str, index: Scalar, space: ExecutionSpace
) -> None:
    workunit = WORKUNITS[name]
    assert generate(workunit, space, types_of(workunit, index)).text


def kernels() -> Iterator[ir.Kernel]:
    for workunit in WORKUNITS.values():
        yield analyse(parse(workunit), types_of(workunit, SCALARS["uint32"]))


PRODUCTS = {
    # The neurons of two buffers are at most 2^31 - 1, and rows at most 2^30.
    "((league % blocks) * width)": "less than the outputs and the blocks together",
    "(buffer * widest)": "0 or the widest layer's neurons",
    "((1 - buffer) * widest)": "likewise",
    "(((buffer + step) % 2) * widest)": "likewise",
    "((((buffer + 1) + step) % 2) * widest)": "likewise",
    "(((buffer + depth) % 2) * widest)": "likewise",
    "((((buffer + 1) + depth) % 2) * widest)": "likewise",
    "(p * share)": "less than the neurons and the parts together",
    "(tile * parts)": "an entry of ranges, of which 2^31 do not fit into memory",
    "(league * parts)": "likewise",
    "(tile * lanes)": "a row",
    "(j * 64)": "less than the bytes of a row and 64",
    "(j * 16)": "less than the neurons and 16",
    "((first + j) * 16)": "likewise",
    "(width * 16)": "likewise",
    "(((league % blocks) * width) * 16)": "less than the neurons and 16 for each block",
    "(u * unit_outputs)": "less than the outputs",
    "((u + 1) * unit_outputs)": "less than the outputs and those of a unit together",
    "(c * 8)": "less than the neurons and 8",
    "(c * input_width)": "less than the inputs",
    "((filled / 8) * 8)": "at most the lanes",
    "(league * team_rows)": "at most the rows, and those of a team",
    "(block * width)": "less than the outputs and the blocks together",
    "((item % blocks) * width)": "less than the outputs and the blocks together",
    "(batch * blocks)": "a work item",
    "(batch * columns)": "a dense column, of which 2^31 do not fit into memory",
    "(batch * inputs)": "likewise",
    "(batch * outputs)": "likewise",
    "(Element * columns)": "likewise, of the batch of a row",
    "(worker * columns)": "less than the dense rows of all workers, 1 GiB, or 0 for one worker",
}
"""All products of 32-bit numbers in workunits, and the reasons why they are below 2^31."""


def test_products_of_32_bits_stay_small() -> None:
    """C++ widens a product after the multiplication, so each product must fit into 32 bits."""
    found = set()
    for kernel in kernels():
        for e in expressions(kernel.body):
            if isinstance(e, ir.Binary) and e.op == "*" and e.type == INT32:
                found.add(text(e))
    assert found == set(PRODUCTS)


def test_sums_of_bytes_are_unrolled() -> None:
    """With an index in a local too; the loop over the range of the counts is not."""
    loops = [
        loop
        for kernel in kernels()
        for s in statements(vectorize(kernel, ExecutionSpace.OpenMP).body)
        if isinstance(s, ir.VectorRange) and s.type == UINT8
        for loop in s.body
        if isinstance(loop, ir.For)
    ]
    assert [loop.unroll for loop in loops] == [BYTE_LOOP_UNROLL, 1]


def test_rows_are_compacted_on_vectors() -> None:
    """Where products or activations of a dense column become a list."""
    found = {
        kernel.name
        for kernel in kernels()
        for s in statements(vectorize(kernel, ExecutionSpace.OpenMP).body)
        if isinstance(s, ir.Compaction)
    }
    assert found == {"multiply", "multiply_rows", "relu"}


def statements(body: Any) -> Iterator[ir.Stmt]:
    """Yield all statements, including those of nested functions."""
    for s in body:
        yield s
        if isinstance(s, ir.NestedPattern):
            yield from statements(s.function.body)
        for inner in ("body", "orelse"):
            yield from statements(getattr(s, inner, ()))


def expressions(body: Any) -> Iterator[ir.Expr]:
    """Yield all expressions of all statements, and their subexpressions."""
    for s in statements(body):
        for value in vars(s).values():
            for each in value if isinstance(value, tuple) else (value,):
                if isinstance(each, ir.Expr):
                    yield from subexpressions(each)


def text(e: ir.Expr) -> str:
    match e:
        case ir.Constant():
            return str(e.value)
        case ir.Name():
            return e.name
        case ir.Binary():
            return f"({text(e.left)} {e.op} {text(e.right)})"
        case ir.TeamCall():
            return "league"
    return type(e).__name__


@pytest.mark.slow
@pytest.mark.parametrize("index", INTEGERS, ids=lambda kind: kind.name)
def test_indices_of_every_type_give_the_same(space: Space, index: Scalar) -> None:
    """Compiled, as many at once as there are cores, and run."""
    found: list[dict[str, bool]] = []
    space.warm_up(lambda: found.append(agreement(space, index)))
    assert len(found[-1]) > 7
    assert all(found[-1].values()), found[-1]


def agreement(space: Space, index: Scalar) -> dict[str, bool]:
    """Return for each workunit whether its result for a tile of three rows agrees with NumPy."""
    same: dict[str, bool] = {}
    kind, real = index.numpy, np.dtype(np.float32)
    rng = np.random.default_rng(1)
    neurons, lanes = 9, 4
    permutation = rng.permutation(neurons)
    rows = rng.integers(-9, 9, (3, neurons)).astype(real)
    y = np.full((1, neurons, lanes), np.nan, real)
    common = {
        "permutation": permutation.astype(kind),
        "rows": 3,
        "neurons": neurons,
        "lanes": lanes,
    }
    space.pk.parallel_for(
        "in", space.teams(1), tiles.unpack_dense, x=rows, y=y, zero=real.type(0), blocks=1,
        width=1, **common,
    )  # fmt: skip
    same["unpack_dense"] = np.array_equal(y[0, permutation, :3], rows.T)
    back = np.zeros_like(rows)
    ids = np.arange(3, dtype=np.int64)
    space.pk.parallel_for(
        "out", space.teams(1), tiles.pack_dense, a=y, ids=ids, y=back, first=0, **common
    )
    same["pack_dense"] = np.array_equal(back, rows)
    bits = np.packbits(rows > 0, axis=1)
    transposed = np.empty((1, 2, lanes), np.uint8)
    space.pk.parallel_for(
        "bits", space.teams(1), tiles.unpack_bits,
        bits=bits, transposed=transposed, y=y, row_bytes=2, **common,
    )  # fmt: skip
    same["unpack_bits"] = np.array_equal(y[0, permutation, :3], rows.T > 0)

    fan_in = rng.integers(0, neurons, (neurons, 3))
    a = np.zeros((1, 2 * neurons, lanes), real)
    a[0, :neurons, :3] = rows.T
    expected = a[0][fan_in].sum(axis=1)
    value = np.ones(fan_in.shape, real)
    shared = {
        "bias": np.zeros(neurons, real), "zero": real.type(0), "unbiased": real.type(0),
        "low": real.type(-np.inf), "ymax": real.type(np.inf), "layer": 0, "depth": 1, "buffer": 0,
        "widest": neurons, "blocks": 1, "width": neurons, "outputs": neurons, "lanes": lanes,
        "parts": 0, "ranges": np.zeros((1, 2, lanes), real),
    }  # fmt: skip
    start = np.arange(0, 3 * neurons, 3, dtype=np.int64)
    size = np.full(neurons, 3, np.int32)
    given = fan_in.astype(kind)
    for workunit, weights in (
        (fused.fused_fan_in, {"index": given, "value": value, "fan_in": 3}),
        (fused.fused_equal, {"index": given, "weight": real.type(1), "fan_in": 3}),
        (
            fused.fused_csr,
            {"index": given.ravel(), "value": value.ravel(), "start": start, "size": size},
        ),
    ):
        a[0, neurons:] = np.nan
        space.pk.parallel_for("fused", space.teams(1), workunit, a=a, **weights, **shared)
        same[workunit.__name__] = np.array_equal(a[0, neurons:], expected)

    x = np.zeros((1, 2 * neurons, lanes), np.uint8)
    x[0, :neurons, :3] = rows.T > 0
    counts = x[0][fan_in].sum(axis=1)
    names = "layer", "buffer", "widest", "blocks", "width", "parts"
    where = {name: shared[name] for name in names}
    space.pk.parallel_for(
        "count", space.teams(1), first_layer.count_edges,
        x=x, ranges=np.zeros((1, 2, lanes), np.uint8), index=given, outputs=neurons, fan_in=3,
        lanes=lanes, **where,
    )  # fmt: skip
    same["count_edges"] = np.array_equal(x[0, neurons:], counts)
    space.pk.parallel_for(
        "counts", space.teams(1), first_layer.fused_counts, x=x, a=a, weight=real.type(1),
        next_index=given, next_weight=real.type(1), next_bias=shared["bias"], next_layer=0,
        count_offset=neurons, next_fan_in=3, **{**shared, "depth": 1, "buffer": 0},
    )  # fmt: skip
    same["fused_counts"] = np.array_equal(a[0, neurons:], counts)
    same["fused_counts, next layer"] = np.array_equal(a[0, :neurons], counts[fan_in].sum(axis=1))
    return same
