"""Blocks of lanes on a CPU: their widths, their halves, and the loops over their lanes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from textwrap import dedent, indent
from typing import Any

import kernels
import numpy as np
import pytest
from engine_arguments import engine_sources
from ir_of_source import HEAD, LANES, Load, lane_function
from pykokkos_emulator import assert_same

from kkspdnn.pk import ir
from kkspdnn.pk.codegen.lane_blocks import block_widths
from kkspdnn.pk.codegen.pykokkos_source import emit_pykokkos
from kkspdnn.pk.compiler import generate_pykokkos
from kkspdnn.pk.passes.vectorize import vectorize
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.types import DOUBLE, FLOAT, UINT8, Scalar, View

CPU = ExecutionSpace.Serial


@pytest.mark.parametrize(
    ("type_", "registers", "widths"),
    [
        (FLOAT, 4, (64, 16, 1)),
        (DOUBLE, 4, (32, 8, 1)),
        (FLOAT, 1, (8, 1)),
        (DOUBLE, 1, (4, 1)),
        (UINT8, 4, (64, 32, 1)),
    ],
)
def test_widths(type_: Scalar, registers: int, widths: tuple[int, ...]) -> None:
    range_ = ir.VectorRange(0, "m", ir.Name("n", type_), "lane", "v", type_, (), registers)
    assert block_widths(range_) == widths


BY_WIDTH = r"for v in range\((?:0|_lanes_\d+ // (\d+) \* \1), _lanes_\d+(?: - (\d+), (\d+))?\):"


@pytest.mark.parametrize(
    ("dtype", "headers"),
    [
        (FLOAT, [("", "63", "64"), ("64", "15", "16"), ("16", "", "")]),
        (DOUBLE, [("", "31", "32"), ("32", "7", "8"), ("8", "", "")]),
    ],
)
def test_each_width_takes_the_lanes_that_wider_blocks_left(
    dtype: Scalar, headers: list[tuple[str, ...]]
) -> None:
    vector, tiles = View(dtype, 1), View(dtype, 3)
    source = generate_pykokkos(kernels.lanes_of, CPU, (tiles, tiles, vector, dtype, dtype))
    assert re.findall(BY_WIDTH, source.text) == headers


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("lanes", [0, 1, 7, 8, 15, 17, 31, 32, 33, 63, 64, 65, 80, 96, 107, 129])
def test_any_number_of_lanes(lanes: int, dtype: Any) -> None:
    rng = np.random.default_rng(lanes)
    given = {
        "x": rng.integers(-4, 5, (1, 3, lanes)).astype(dtype),
        "y": np.full((1, 2, lanes), np.nan, dtype),
        "bias": np.array([-1, 2, 3], dtype),
        "zero": dtype(0),
        "top": dtype(6),
    }
    number = FLOAT if dtype is np.float32 else DOUBLE
    types = View(number, 3), View(number, 3), View(number, 1), number, number
    assert_same((kernels.lanes_of, CPU, types), 1, given)


@pytest.mark.parametrize("lanes", [0, 1, 31, 32, 33, 63, 64, 65, 96, 97, 129])
def test_any_number_of_bytes(lanes: int) -> None:
    x = np.random.default_rng(lanes).integers(0, 256, (1, 3, lanes)).astype(np.uint8)
    y, z = (np.full((1, rows, lanes), 99, np.uint8) for rows in (2, 1))
    given = {"x": x, "y": y, "z": z, "limit": 300}
    assert_same((kernels.lanes_of_bytes, CPU, ()), 1, given)


def test_loops_and_branches_that_all_lanes_take(load: Load) -> None:
    body = """
        z: pk.float = x[0][0][v]
        k: int = n
        while k > 16:
            z += x[0][1][v]
            k -= 1
        if n > 18:
            y[0][0][v] = z
        else:
            y[0][1][v] = f
        for j in range(2, 0, -1):
            y[0][j + 1][v] = x[0][j][v]
    """
    w = load(HEAD + LANES.format(body=indent(dedent(body), " " * 8))).w
    for lanes in (18, 19):
        x = np.arange(3.0 * lanes).reshape(1, 3, lanes)
        given = {
            "x": x.astype(np.float32),
            "y": np.zeros((1, 4, lanes), np.float32),
            "d": x,
            "b": x.astype(np.uint8),
            "index": np.zeros(1, np.int32),
            "f": np.float32(0.5),
            "u": 1,
            "n": lanes,
        }
        assert_same((w, CPU, ()), 1, given)


# ---- the loops of a block -----------------------------------------------------------------------


def lane_loops(tree: ast.AST) -> list[ast.For]:
    """The loops over lanes of a block, in their order."""
    return [
        each
        for each in ast.walk(tree)
        if isinstance(each, ast.For) and ast.unparse(each.target) == "_lane"
    ]


def first_block(load: Load, body: str) -> ast.For:
    """The widest block of a workunit with one ThreadVectorRange."""
    text = emit_pykokkos(vectorize(lane_function(load, body), CPU), CPU).text
    for each in ast.walk(ast.parse(text)):
        if isinstance(each, ast.For):
            return each
    raise AssertionError(text)


def test_a_block_has_two_loops_over_half_of_its_lanes(load: Load) -> None:
    block = first_block(load, "y[0][n][v] = x[0][1][v]")
    *firsts, row, low, high = block.body
    assert [ast.unparse(each).partition(": ")[2] for each in firsts] == [
        "pk.int64 = v + 0",
        "pk.int64 = v + 32",
    ]
    assert ast.unparse(row).endswith(": pk.int64 = n")
    names = [ast.unparse(each).partition(":")[0] for each in (*firsts, row)]
    for first, loop in zip(names[:2], (low, high), strict=True):
        assert ast.unparse(loop).splitlines() == [
            "for _lane in range(32):",
            f"    y[0][{names[2]}][{first} + _lane] = x[0][1][{first} + _lane]",
        ]


def test_vectors_of_several_loops_are_in_arrays(load: Load) -> None:
    """Each half has its own elements."""
    block = first_block(
        load, "z: pk.float = x[0][1][v]\nfor k in range(n):\n    z += f\ny[0][0][v] = z"
    )
    arrays = [s for s in block.body if ast.unparse(s).startswith("z: List[pk.float] = [0.0, ")]
    assert [len(each.value.elts) for each in arrays] == [64]  # type: ignore[attr-defined]
    low, high, *_ = lane_loops(block)
    assert ast.unparse(low.body[-1]).startswith("z[_lane] = ")
    assert ast.unparse(high.body[-1]).startswith("z[32 + _lane] = ")
    inner = next(s for s in block.body if isinstance(s, ast.For) and s not in lane_loops(block))
    for loop, place in zip(lane_loops(inner), ("_lane", "32 + _lane"), strict=True):
        load_it, add, store = map(ast.unparse, loop.body)
        local = store.removeprefix(f"z[{place}] = ")
        assert load_it == f"{local}: pk.float = z[{place}]"
        assert add.startswith(f"{local} += _scalar_")


def test_a_masked_addition_is_computed_in_all_lanes_before(load: Load) -> None:
    block = first_block(load, "z: pk.float = x[0][1][v]\nif z != 0.5:\n    z += f\ny[0][0][v] = z")
    sums, _, selections, _ = lane_loops(block)
    new = re.fullmatch(r"(\w+): pk.float = (\w+) \+ _scalar_\d+", ast.unparse(sums.body[1]))
    assert new is not None
    kept = re.fullmatch(r"(\w+)\[_lane\] = " + new[1], ast.unparse(sums.body[-1]))
    assert kept is not None
    branch = next(each for each in selections.body if isinstance(each, ast.If))
    assert ast.unparse(branch.test) == f"{new[2]} != 0.5"
    assert list(map(ast.unparse, branch.body)) == [f"{new[2]} = {new[1]}"]
    assert f"{new[1]}: pk.float = {kept[1]}[_lane]" in map(ast.unparse, selections.body)


def test_a_masked_copy_needs_no_loop_before(load: Load) -> None:
    block = first_block(load, "z: pk.float = x[0][1][v]\nif z < f:\n    z = f\ny[0][0][v] = z")
    assert len(lane_loops(block)) == 2
    assert "List" not in ast.unparse(block)


def test_an_element_for_all_lanes_is_loaded_after_stores_to_its_view(load: Load) -> None:
    block = first_block(load, "y[0][0][v] = x[0][0][v]\ny[0][1][v] = f\nx[0][1][v] = y[0][0][0]")
    loads = [ast.unparse(each).endswith(" = y[0][0][0]") for each in block.body]
    loops = [isinstance(each, ast.For) for each in block.body]
    assert loads.count(True) == 1
    assert loops[: loads.index(True)].count(True) == 2
    assert len(lane_loops(block)) == 4


def vector_loops() -> Iterator[tuple[str, ast.For]]:
    """The loops over lanes of the engines' vectors, with the name of the workunit."""
    for source in engine_sources("openmp", "float32"):
        if source.name.startswith(("fused", "count_edges", "find_range")):
            yield from ((source.name, each) for each in lane_loops(ast.parse(source.text)))


def test_the_engines_compute_nothing_under_a_condition() -> None:
    branches = [
        each for _, loop in vector_loops() for each in ast.walk(loop) if isinstance(each, ast.If)
    ]
    assert branches
    for branch in branches:
        (statement,) = branch.body
        assert re.fullmatch(r"\w+ (<|>|!=) \w+", ast.unparse(branch.test))
        assert re.fullmatch(r"\w+ = \w+", ast.unparse(statement))


ELEMENT = r"\w+(\[(_row_\d+|\d+)\])+\[_first_\d+ \+ _lane\]"


def test_the_engines_load_contiguous_elements_of_rows_in_locals() -> None:
    """The other elements are those of the arrays of a block, which have one index."""
    found = set()
    for name, loop in vector_loops():
        subscripts = [each for each in ast.walk(loop) if isinstance(each, ast.Subscript)]
        inner = {id(each.value) for each in subscripts}
        for each in subscripts:
            if isinstance(each.value, ast.Subscript) and id(each) not in inner:
                found.add(name)
                assert re.fullmatch(ELEMENT, ast.unparse(each))
    fused = {"fused_fan_in", "fused_equal", "fused_csr", "fused_groups", "fused_counts"}
    few = {"fused_inputs", "fused_dense"}
    assert found == fused | few | {"fused_pairs", "count_edges", "find_range"}
