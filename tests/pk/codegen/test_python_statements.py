"""Statements as PyKokkos source: loops over lanes, row numbers, stores of bytes."""

from __future__ import annotations

import ast
import inspect
import re
from textwrap import dedent
from typing import Any

import kernels
import numpy as np
import pytest
from engine_arguments import engine_sources, specializations
from ir_of_source import Load, lane_function, source_of
from pykokkos_emulator import assert_same

from kkspdnn.pk.codegen.pykokkos_source import PyKokkosSource, emit_pykokkos
from kkspdnn.pk.compiler import generate_pykokkos
from kkspdnn.pk.frontend.workunit import Workunit
from kkspdnn.pk.passes.vectorize import vectorize
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.types import UINT8, View

CPU, GPU = ExecutionSpace.Serial, ExecutionSpace.Cuda


def body_of(source: PyKokkosSource) -> str:
    """The body of the workunit, with the names that the printer made numbered from 0, and arrays
    of literals without their values."""
    lines = source.text.partition(f"def {source.function}(")[2].splitlines()[1:]
    numbers: dict[str, str] = {}

    def numbered(match: re.Match[str]) -> str:
        return numbers.setdefault(match[0], f"_{match[1]}_{len(numbers)}")

    text = re.sub(r"\b_([a-z]\w*?)_\d+\b", numbered, dedent("\n".join(lines)).strip())
    return re.sub(r"= \[[^:\]]*\]", "= […]", text)


def lane_body(load: Load, body: str, target: ExecutionSpace = CPU) -> str:
    """The body of a workunit with one ThreadVectorRange."""
    kernel = lane_function(load, body)
    return body_of(emit_pykokkos(kernel if target is GPU else vectorize(kernel, target), target))


def workunit(load: Load, body: str, parameters: str) -> Workunit:
    found: Workunit = load(source_of(body, parameters)).w
    return found


def body(load: Load, text: str, parameters: str, target: ExecutionSpace = CPU) -> str:
    return body_of(generate_pykokkos(workunit(load, text, parameters), target))


def same(printed: str, expected: str) -> None:
    assert printed == dedent(expected).strip()


# ---- single statements --------------------------------------------------------------------------


def test_loops_and_branches(load: Load) -> None:
    text = """
        k: int = n
        for j in range(n, 0, -2):
            k += j
        for j in range(n):
            k -= j
            if k == 3:
                continue
            elif k > 3:
                break
        while k > 0:
            k //= 2
        tally: List[pk.int64] = [1, 2, n]
        tally[1] <<= 3
        x[i] = tally[1]
    """
    printed = body(load, text, "i: int, n: int, x: pk.View1D[pk.int64]")
    same(
        printed,
        """
        k: int = n
        for j in range(n, 0, -2):
            k += j
        for j in range(0, n):
            k -= j
            if k == 3:
                continue
            else:
                if k > 3:
                    break
        while k > 0:
            k = k // 2
        tally: List[pk.int64] = […]
        tally[1] <<= 3
        x[i] = tally[1]
        """,
    )


# ---- loops over lanes ---------------------------------------------------------------------------

GATHER = "y[0][n + 1][v] = x[0][0][index[v]]"


def test_lanes_that_do_not_run_on_vectors_are_a_loop(load: Load) -> None:
    same(
        lane_body(load, GATHER),
        """
        _row_0: pk.int64 = n + 1
        for v in range(n):
            y[0][_row_0][v] = x[0][0][index[v]]
        """,
    )


def test_lanes_are_threads_on_a_gpu(load: Load) -> None:
    same(
        lane_body(load, GATHER, GPU),
        """
        def _lane_0(v: int):
            y[0][n + 1][v] = x[0][0][index[v]]
        pk.parallel_for(pk.ThreadVectorRange(m, n), _lane_0)
        """,
    )


def test_lanes_that_return_are_a_function(load: Load) -> None:
    same(
        lane_body(load, "if index[v] > n:\n    return\n" + GATHER),
        """
        def _lane_0(v: int):
            if index[v] > n:
                return
            y[0][n + 1][v] = x[0][0][index[v]]
        pk.parallel_for(pk.ThreadVectorRange(m, n), _lane_0)
        """,
    )


def test_a_reduction_over_lanes_stays_one() -> None:
    text = generate_pykokkos(kernels.team_sums, CPU).text
    assert text.count("pk.parallel_reduce(pk.ThreadVectorRange(m, columns), _even_") == 1


def test_the_engines_have_no_threads_for_lanes_on_a_cpu() -> None:
    for source in engine_sources("openmp", "float32"):
        assert "ThreadVectorRange" not in source.text


def test_the_engines_have_all_their_threads_for_lanes_on_a_gpu() -> None:
    for first, *_ in filter(None, specializations("cuda", "float32").values()):
        written = inspect.getsource(first[0].function)
        text = generate_pykokkos(*first).text
        for word in ("pk.ThreadVectorRange(", "pk.TeamThreadRange(", "List["):
            assert text.count(word) == written.count(word)


# ---- rows ---------------------------------------------------------------------------------------


def test_rows_are_64_bit_locals_before_the_outermost_loop_that_keeps_them(load: Load) -> None:
    """n + 1 in all loops, the row of v in the loop over k, and that of k in none."""
    text = """
        for k in range(n):
            y[n + 1][k + 2][v] = x[v + 3][k][index[v]]
    """
    same(
        lane_body(load, text),
        """
        _row_0: pk.int64 = n + 1
        for v in range(n):
            _row_1: pk.int64 = _row_0
            _row_2: pk.int64 = v + 3
            for k in range(0, n):
                y[_row_1][k + 2][v] = x[_row_2][k][index[v]]
        """,
    )


@pytest.mark.parametrize(
    ("before", "row"),
    [
        ("k: int = v", "k"),  # declared in the loop
        ("k: int = 0\nk += 1", "n + k"),
        ("pass", "index[0]"),  # a load, which a store may change
        ("pass", "n // index[0]"),
        ("pass", "n // 2"),  # a division, which a branch may guard
        ("pass", "n % 3"),
        ("pass", "7"),
    ],
)
def test_other_rows_stay(load: Load, before: str, row: str) -> None:
    printed = lane_body(load, f"{before}\ny[0][{row}][v] = x[0][0][index[v]]")
    assert f"y[0][{row}][v] = " in printed
    assert printed.startswith("for v in range(n):")


def test_a_row_that_the_loop_changes_stays(load: Load) -> None:
    text = """
        k: int = 0
        while k < n:
            for j in range(n):
                k += j
                y[0][k][v] = x[0][0][index[v]]
    """
    assert "y[0][k][v] = " in lane_body(load, text)


def test_a_row_that_is_unsigned_stays_unsigned(load: Load) -> None:
    text = """
        def lane(v: int):
            y[row][v] = x[index[v]]

        pk.parallel_for(pk.ThreadVectorRange(m, 3), lane)
    """
    parameters = (
        "m: pk.TeamMember, row: pk.uint64, x: pk.View1D[pk.float], y: pk.View2D[pk.float], "
        "index: pk.View1D[pk.int32]"
    )
    assert "_row_0: pk.uint64 = row\nfor v in range(3):" in body(load, text, parameters)


# ---- bytes --------------------------------------------------------------------------------------

BYTES = """
    def line(j: int):
        low: int = j + first

        def lane(v: int):
            k: int = index[v]
            y[j][v + low] = x[j][k]

        pk.parallel_for(pk.ThreadVectorRange(m, lanes), lane)

    pk.parallel_for(pk.TeamThreadRange(m, 2), line)
"""
BYTE_PARAMETERS = (
    "m: pk.TeamMember, x: pk.View2D[pk.uint8], y: pk.View2D[pk.uint8], "
    "index: pk.View1D[pk.int32], first: int, lanes: int"
)


def test_bytes_are_stored_in_blocks_from_copies(load: Load) -> None:
    same(
        body(load, BYTES, BYTE_PARAMETERS),
        """
        def _line_0(j: int):
            _index_1 = index[:,]
            _y_2 = y[:, :]
            _x_3 = x[:, :]
            _first_4: int = first
            _lanes_5: int = lanes
            low: int = j + _first_4
            _row_6: pk.int64 = j
            _lanes_7: int = _lanes_5
            for _first_8 in range(0, _lanes_7 - 63, 64):
                _bytes_9: List[pk.uint8] = […]
                for _lane in range(64):
                    v: int = _first_8 + _lane
                    k: int = _index_1[v]
                    _bytes_9[_lane] = _x_3[_row_6][k]
                for _lane in range(64):
                    v: int = _first_8 + _lane
                    _y_2[_row_6][v + low] = _bytes_9[_lane]
            for v in range(_lanes_7 // 64 * 64, _lanes_7):
                k: int = _index_1[v]
                _y_2[_row_6][v + low] = _x_3[_row_6][k]
        pk.parallel_for(pk.TeamThreadRange(m, 2), _line_0)
        """,
    )


@pytest.mark.parametrize("target", [CPU, GPU], ids=lambda s: s.value)
@pytest.mark.parametrize("lanes", [0, 1, 63, 64, 65, 128, 150])
def test_all_lanes_store_their_bytes(load: Load, lanes: int, target: ExecutionSpace) -> None:
    rng = np.random.default_rng(lanes)
    given: dict[str, Any] = {
        "x": rng.integers(0, 256, (2, 200)).astype(np.uint8),
        "y": np.full((2, 200), 7, np.uint8),
        "index": rng.permutation(200).astype(np.int32)[:lanes],
        "first": 3,
        "lanes": lanes,
    }
    assert_same((workunit(load, BYTES, BYTE_PARAMETERS), target, ()), 1, given)


def test_nothing_is_copied_on_a_gpu_or_for_other_stores(load: Load) -> None:
    for parameters, target in (
        (BYTE_PARAMETERS, GPU),
        (BYTE_PARAMETERS.replace("uint8", "uint16"), CPU),
    ):
        printed = body(load, BYTES, parameters, target)
        assert ":," not in printed
        assert "_bytes" not in printed
        assert "= first\n" not in printed


def test_bytes_in_other_loops_are_stored_one_by_one(load: Load) -> None:
    """A loop, or a range that does not begin at 0."""
    loop = BYTES.replace("            y[j]", "            for c in range(2):\n                y[c]")
    begin = BYTES.replace("(m, lanes)", "(m, first, lanes)")
    for text in (loop, begin):
        printed = body(load, text, BYTE_PARAMETERS)
        assert "_y_2 = y[:, :]" in printed
        assert "_bytes" not in printed


def test_bytes_that_are_loaded_again_are_stored_one_by_one(load: Load) -> None:
    text = "b[0][0][v] = b[0][1][index[v]]\nb[0][2][v] = b[0][0][v]"
    same(
        lane_body(load, text),
        """
        for v in range(n):
            b[0][0][v] = b[0][1][index[v]]
            b[0][2][v] = b[0][0][v]
        """,
    )


def test_bytes_at_indices_in_locals_are_stored_one_by_one(load: Load) -> None:
    text = "k: int = index[v]\nb[0][0][k] = b[1][0][0]"
    assert "_bytes" not in lane_body(load, text)
    other = "k: int = index[v]\nb[0][0][v] = k"
    assert "_bytes" in lane_body(load, other)


def test_names_of_a_nested_reduction_are_not_copied(load: Load) -> None:
    text = """
        def row(j: int):
            def count(v: int, acc: pk.Acc[pk.int64]):
                acc += x[j][v]

            total: pk.int64 = pk.parallel_reduce(pk.ThreadVectorRange(m, n), count)
            y[j] = total > 3

        pk.parallel_for(pk.TeamThreadRange(m, n), row)
    """
    parameters = "m: pk.TeamMember, x: pk.View2D[pk.int32], y: pk.View1D[pk.uint8], n: int"
    printed = body(load, text, parameters)
    copies = [line.split("=")[1].strip() for line in printed.splitlines() if "  _" in line]
    assert {"x[:, :]", "y[:,]", "n"} <= set(copies)
    assert not {"total", "acc", "v", "j"} & set(copies)


def test_workunits_of_the_engines_that_store_bytes_only_read_copies() -> None:
    checked = set()
    for source in engine_sources("openmp", "float32"):
        types = {p.name: p.type for p in source.signature.parameters}
        written = [types[name] for name in source.written]
        bytes_only = all(isinstance(each, View) and each.element is UINT8 for each in written)
        if not written or not bytes_only:
            continue
        checked.add(source.name)
        for function in ast.walk(ast.parse(source.text)):
            if isinstance(function, ast.FunctionDef) and function.name.startswith("_"):
                assert captured(function) <= {"m"}
    assert checked == {"unpack_bits", "count_edges", "find_range", "gather_rows"}


def captured(function: ast.FunctionDef) -> set[str]:
    """The names of other functions that a function reads after it has copied some."""
    own = {each.arg for each in function.args.args} | {"int", "range", "pk", "List"}
    read: set[str] = set()
    for statement in function.body:
        names = [each for each in ast.walk(statement) if isinstance(each, ast.Name)]
        own |= {each.id for each in names if isinstance(each.ctx, ast.Store)}
        if not is_copy(statement):
            read |= {each.id for each in names}
    return read - own


def is_copy(statement: ast.stmt) -> bool:
    match statement:
        case ast.AnnAssign(value=ast.Name()):
            return True
        case ast.Assign(value=ast.Subscript(slice=ast.Tuple())):
            return True
    return False
