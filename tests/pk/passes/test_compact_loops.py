"""Loops that become Compactions, and those that differ from the form in one point."""

from __future__ import annotations

from typing import Any

import pytest
from ir_of_source import Load, source_of

from kkspdnn.pk import ir
from kkspdnn.pk.compiler import generate, generate_pykokkos
from kkspdnn.pk.frontend.analyse import analyse
from kkspdnn.pk.frontend.parse import parse
from kkspdnn.pk.passes.vectorize import vectorize
from kkspdnn.pk.passes.walk import nodes
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.types import FLOAT, INT32

CPU, GPU = ExecutionSpace.OpenMP, ExecutionSpace.Cuda

LOOP = """
o: int = k
for r in range(n):
    y: pk.float = dense[i][r]
    if y != 0.0:
        index[o] = r
        value[o] = y
        o += 1
"""

PARAMETERS = """
    i: int, k: int, n: int, f: pk.float, dense: pk.View2D[pk.float], row: pk.View1D[pk.float],
    index: pk.View1D[pk.int32], value: pk.View1D[pk.float], doubles: pk.View1D[pk.double],
    counts: pk.View2D[pk.int32], longs: pk.View1D[pk.int64], bytes_: pk.View1D[pk.int8],
    shorts: pk.View1D[pk.uint16], grid: pk.View2D[pk.int32]
"""

FUNCTION = """
@pk.function
def first_of(x: pk.View1D[pk.int32]) -> int:
    return x[0]
"""


def kernel_of(load: Load, body: str) -> ir.Kernel:
    return analyse(parse(load(source_of(body, PARAMETERS, FUNCTION)).w), ())


def changed(old: str, new: str) -> str:
    assert LOOP.count(old) == 1
    return LOOP.replace(old, new)


def compactions(load: Load, body: str, target: ExecutionSpace = CPU) -> list[ir.Compaction]:
    body_after = vectorize(kernel_of(load, body), target).body
    return [each for each in nodes(body_after) if isinstance(each, ir.Compaction)]


def test_the_parts_of_a_compaction(load: Load) -> None:
    kernel = kernel_of(load, LOOP)
    _, loop = kernel.body
    assert isinstance(loop, ir.For)
    declared, after = vectorize(kernel, CPU).body
    assert declared == kernel.body[0]
    i, cursor, zero = ir.Name("i", INT32), ir.Name("o", INT32), ir.Constant(0, INT32)
    assert after == ir.Compaction(
        loop.line,
        loop,
        ir.Element("dense", (i, zero), FLOAT, local=False),
        ir.Element("index", (cursor,), INT32, local=False),
        ir.Element("value", (cursor,), FLOAT, local=False),
        cursor,
    )


ACCEPTED = {
    "a 64-bit cursor": changed("o: int", "o: pk.int64"),
    "an integer zero": changed("0.0", "0"),
    "a deduced type": changed("y: pk.float", "y: pk.cpp_auto"),
    "a row of one view": changed("dense[i][r]", "row[r]"),
    "a computed row": changed("dense[i]", "dense[2 * i - k]"),
    "a computed end": changed("range(n)", "range(n // 2)"),
    "numbers of 16 bits": changed("index[o]", "shorts[o]"),
    "in place": changed("dense[i][r]", "row[r]").replace("value[o]", "row[o]"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(load: Load, name: str) -> None:
    assert len(compactions(load, ACCEPTED[name])) == 1


REFUSED = {
    "another comparison": changed("y != 0.0", "y > 0.0"),
    "another number": changed("y != 0.0", "y != 1.0"),
    "another local in the test": changed("y != 0.0", "f != 0.0"),
    "a compound test": changed("y != 0.0", "y != 0.0 and k > 0"),
    "a first row": changed("range(n)", "range(1, n)"),
    "a step": changed("range(n)", "range(0, n, 2)"),
    "downwards": changed("range(n)", "range(n, 0, -1)"),
    "a row that the cursor selects": changed("dense[i]", "dense[o]"),
    "a row that the loop variable selects": changed("dense[i]", "dense[r]"),
    "a row that a target selects": changed("dense[i]", "dense[index[0]]"),
    "a row that a function selects": changed("dense[i]", "dense[first_of(index)]"),
    "a row that an atomic selects": changed(
        "dense[i]", "dense[pk.atomic_fetch_add(index, [0], 1)]"
    ),
    "a column": changed("dense[i][r]", "dense[r][i]"),
    "a computed place": changed("dense[i][r]", "dense[i][r + 1]"),
    "a computed value": changed("= dense[i][r]", "= dense[i][r] + f"),
    "another value": changed("value[o] = y", "value[o] = f"),
    "another number of the row": changed("index[o] = r", "index[o] = k"),
    "a sum of values": changed("value[o] = y", "value[o] += y"),
    "an else": LOOP + "    else:\n        grid[0][0] = 1\n",
    "a statement before the test": changed("    if y", "    grid[0][0] += 1\n    if y"),
    "a statement in the branch": changed("o += 1", "o += 1\n        grid[0][0] += 1"),
    "a statement behind the branch": LOOP + "    grid[0][0] += 1\n",
    "the value first": changed(
        "index[o] = r\n        value[o] = y", "value[o] = y\n        index[o] = r"
    ),
    "no number": changed("        index[o] = r\n", ""),
    "a cursor that skips": changed("o += 1", "o += 2"),
    "a cursor that decreases": changed("o += 1", "o -= 1"),
    "a short cursor, which wraps around": changed("o: int = k", "o: pk.uint8 = 0"),
    "an unsigned cursor, which wraps around": changed("o: int = k", "o: pk.uint32 = 0"),
    "another index of a target": changed("value[o]", "value[o + 1]"),
    "another local as the index": changed("index[o]", "index[k]"),
    "a target of two dimensions": changed("index[o]", "grid[i][o]"),
    "numbers of 64 bits": changed("index[o]", "longs[o]"),
    "numbers of 8 bits": changed("index[o]", "bytes_[o]"),
    "numbers of a float": changed("index[o] = r", "doubles[o] = r"),
    "a wider local": changed("y: pk.float", "y: pk.double").replace("value[o]", "doubles[o]"),
    "a wider target": changed("value[o]", "doubles[o]"),
    "integers": changed("y: pk.float = dense", "y: int = counts").replace("value[o]", "index[o]"),
    "a local array as the source": "c: List[pk.float] = [0.0, 1.0]\n"
    + changed("dense[i][r]", "c[r]"),
    "a local array as the target": "c: List[pk.float] = [0.0, 1.0]\n" + changed("value[o]", "c[o]"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(load: Load, name: str) -> None:
    """The loop stays as written."""
    kernel = kernel_of(load, REFUSED[name])
    assert vectorize(kernel, CPU) == kernel


def test_a_gpu_has_the_loop(load: Load) -> None:
    kernel = kernel_of(load, LOOP)
    assert vectorize(kernel, GPU) == kernel
    assert "compact" not in generate(load(source_of(LOOP, PARAMETERS)).w, GPU).text


def test_loops_in_loops_branches_and_functions_are_found(load: Load) -> None:
    inner = LOOP.strip().replace("\n", "\n            ")
    text = f"""
def lane(j: int):
    for a in range(n):
        if a > k:
            {inner}
        else:
            {inner}

pk.parallel_for(pk.TeamThreadRange(m, n), lane)
"""
    parameters = PARAMETERS.replace("i: int", "m: pk.TeamMember, i: int", 1)
    kernel = analyse(parse(load(source_of(text, parameters)).w), ())
    body = vectorize(kernel, CPU).body
    assert sum(isinstance(each, ir.Compaction) for each in nodes(body)) == 2


# ---- printed ------------------------------------------------------------------------------------


def printed(load: Load, **options: Any) -> str:
    return generate(load(source_of(LOOP, PARAMETERS)).w, CPU, **options).text


def test_cpp(load: Load) -> None:
    call = "lanes::compact(&dense(i, 0), n, &index(o), &value(o))"
    assert f"o += {call};" in printed(load)


def test_debug_mode_has_the_loop(load: Load) -> None:
    text = printed(load, debug=True)
    assert "compact" not in text
    assert "y != 0.0" in text


def test_pykokkos_source_has_the_loop(load: Load) -> None:
    text = generate_pykokkos(load(source_of(LOOP, PARAMETERS)).w, CPU).text
    expected = """
    for r in range(0, n):
        y: pk.float = dense[i][r]
        if y != 0.0:
            index[o] = r
            value[o] = y
            o += 1
"""
    assert expected in text
