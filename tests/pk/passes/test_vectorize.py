"""Vectorization: the IR of lane functions that run on vectors, and why others do not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ir_of_source import HEAD, Load, lane_function, without_lines

from kkspdnn.pk import ir
from kkspdnn.pk.codegen.emit import emit
from kkspdnn.pk.frontend.analyse import analyse
from kkspdnn.pk.frontend.parse import parse
from kkspdnn.pk.passes.vectorize import vectorize
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.types import BOOL, DOUBLE, FLOAT, INT32, UINT8

CPU, GPU = ExecutionSpace.OpenMP, ExecutionSpace.Cuda

ZERO, ONE, TWO = (ir.Constant(k, INT32) for k in (0, 1, 2))
V, N, K, SOURCE = (ir.Name(name, INT32) for name in ("v", "n", "k", "source"))
F, U = ir.Name("f", FLOAT), ir.Name("u", UINT8)
Z, Q = ir.VectorName("z", FLOAT), ir.VectorName("q", UINT8)


def element(array: str, *indices: ir.Expr, type: Any = FLOAT) -> ir.Element:
    return ir.Element(array, (*indices, V), type, local=False)


def loaded(array: str, *indices: ir.Expr, type: Any = FLOAT) -> ir.VectorLoad:
    return ir.VectorLoad(element(array, *indices, type=type), type)


def total(left: ir.Expr, right: ir.Expr) -> ir.Binary:
    return ir.Binary("+", left, right, INT32)


def lane_range(kernel: ir.Kernel, target: ExecutionSpace = CPU) -> Any:
    """The ThreadVectorRange of a kernel after the pass."""
    (statement,) = without_lines(vectorize(kernel, target).body)
    return statement


# ---- accepted ---------------------------------------------------------------------------------

X = loaded("x", ZERO, ONE)
DECLARED = ir.DeclareVector(0, "z", FLOAT, X)

ACCEPTED: dict[str, tuple[str, tuple[ir.Stmt, ...]]] = {
    "a contiguous load and store": (
        "y[0][n][v] = x[0][1][v]",
        (ir.StoreVector(0, element("y", ZERO, N), X),),
    ),
    "a uniform value": (
        "y[0][n][v] = f",
        (ir.StoreVector(0, element("y", ZERO, N), ir.Broadcast(F, FLOAT)),),
    ),
    "arithmetic in the lanes' type": (
        "y[0][n][v] = f * x[0][1][v] - x[0][1][v]",
        (
            ir.StoreVector(
                0,
                element("y", ZERO, N),
                ir.VectorBinary(
                    "-", ir.VectorBinary("*", ir.Broadcast(F, FLOAT), X, FLOAT), X, FLOAT
                ),
            ),
        ),
    ),
    "a local that differs between lanes": (
        "z: pk.float = x[0][1][v]\nz *= f",
        (DECLARED, ir.AssignVector(0, Z, "*=", ir.Broadcast(F, FLOAT))),
    ),
    "a local that starts uniform": (
        "z: pk.float = 0.0\nz += x[0][1][v]",
        (
            ir.DeclareVector(0, "z", FLOAT, ir.Broadcast(ir.Constant(0.0, DOUBLE), FLOAT)),
            ir.AssignVector(0, Z, "+=", X),
        ),
    ),
    "a uniform local stays scalar": (
        "k: int = n + 1\ny[0][k][v] = x[0][1][v]",
        (
            ir.Declare(0, "k", INT32, total(N, ONE)),
            ir.StoreVector(0, element("y", ZERO, K), X),
        ),
    ),
    "a branch becomes masked assignments": (
        "z: pk.float = x[0][1][v]\nif z < f:\n    z += f",
        (
            DECLARED,
            ir.AssignVector(
                0,
                Z,
                "+=",
                ir.Broadcast(F, FLOAT),
                ir.VectorCompare("<", Z, ir.Broadcast(F, FLOAT)),
            ),
        ),
    ),
    "a literal that float holds exactly": (
        "z: pk.float = x[0][1][v]\nif z > 0.5:\n    z = f",
        (
            DECLARED,
            ir.AssignVector(
                0,
                Z,
                "=",
                ir.Broadcast(F, FLOAT),
                ir.VectorCompare(">", Z, ir.Broadcast(ir.Constant(0.5, DOUBLE), FLOAT)),
            ),
        ),
    ),
    "a uniform branch stays a branch": (
        "if n > 1:\n    y[0][0][v] = f\nelse:\n    y[0][1][v] = f",
        (
            ir.If(
                0,
                ir.Binary(">", N, ONE, BOOL),
                (ir.StoreVector(0, element("y", ZERO, ZERO), ir.Broadcast(F, FLOAT)),),
                (ir.StoreVector(0, element("y", ZERO, ONE), ir.Broadcast(F, FLOAT)),),
            ),
        ),
    ),
    "a loop": (
        "z: pk.float = x[0][1][v]\nfor k in range(n):\n    z += x[0][k][v]",
        (
            DECLARED,
            ir.For(
                0,
                "k",
                ZERO,
                N,
                ONE,
                False,
                (ir.AssignVector(0, Z, "+=", loaded("x", ZERO, K)),),
            ),
        ),
    ),
    "bytes beside numbers": (
        "q: pk.uint8 = 0\nq += b[0][1][v]\ny[0][n][v] = f * q + b[0][1][v]",
        (
            ir.DeclareVector(0, "q", UINT8, ir.Broadcast(ZERO, UINT8)),
            ir.AssignVector(0, Q, "+=", loaded("b", ZERO, ONE, type=UINT8)),
            ir.StoreVector(
                0,
                element("y", ZERO, N),
                ir.VectorBinary(
                    "+",
                    ir.VectorBinary("*", ir.Broadcast(F, FLOAT), ir.Widen(Q, FLOAT), FLOAT),
                    ir.Widen(loaded("b", ZERO, ONE, type=UINT8), FLOAT),
                    FLOAT,
                ),
            ),
        ),
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(load: Load, name: str) -> None:
    body, expected = ACCEPTED[name]
    found = lane_range(lane_function(load, body))
    assert found == ir.VectorRange(0, "m", N, "lane", "v", FLOAT, expected)


def test_bytes_alone(load: Load) -> None:
    body = "q: pk.uint8 = b[0][1][v]\nif q > 200:\n    q = u\nb[0][0][v] = q"
    loaded_byte = loaded("b", ZERO, ONE, type=UINT8)
    mask = ir.VectorCompare(">", Q, ir.Broadcast(ir.Constant(200, INT32), UINT8))
    assert lane_range(lane_function(load, body)) == ir.VectorRange(
        0,
        "m",
        N,
        "lane",
        "v",
        UINT8,
        (
            ir.DeclareVector(0, "q", UINT8, loaded_byte),
            ir.AssignVector(0, Q, "=", ir.Broadcast(U, UINT8), mask),
            ir.StoreVector(0, element("b", ZERO, ZERO, type=UINT8), Q),
        ),
    )


# ---- refused ----------------------------------------------------------------------------------

DECLARE = "z: pk.float = x[0][1][v]\n"

REFUSED: dict[str, tuple[str, str]] = {
    "no lane index": ("y[0][0][0] = f", "no element has the index `v`"),
    "several types": ("y[0][0][v] = d[0][0][v]", "elements of several types: double, float"),
    "integers": ("k: int = index[v]\nindex[v] = k", "elements of int32: vectors hold floating-"),
    "a lane index that is not last": ("y[0][v][0] = f", "the store to `y` is not contiguous float"),
    "a computed lane index": ("y[0][0][v + 1] = f", "the store to `y` is not contiguous float"),
    "a strided load": ("y[0][0][v] = x[0][v][0]", "the load of `x` is not contiguous"),
    "a gather": ("y[0][0][v] = x[0][0][b[0][0][v]]", "the load of `x` is not contiguous"),
    "the lane number": ("y[0][0][v] = v", "the lane number `v` is a value"),
    "an update of an element": ("y[0][0][v] += f", "+= on an element"),
    "a wider local": (DECLARE + "c: float = z", "`c` is double and differs between lanes of float"),
    "wider arithmetic": (DECLARE + "y[0][0][v] = z + 0.5", "double in an expression of float"),
    "a wider update": (DECLARE + "z += 0.5", "double += with float"),
    "division": (DECLARE + "y[0][0][v] = z / f", "no vector form: /"),
    "math": (DECLARE + "y[0][0][v] = math.sqrt(z)", "no vector form: a function call"),
    "minus": (DECLARE + "y[0][0][v] = -z", "no vector form: a unary operator"),
    "a conversion": (DECLARE + "k: int = int(z)", "`k` is int32 and differs between lanes"),
    "an atomic": (
        DECLARE + "pk.atomic_fetch_add(y, [0, 0, v], 1.0)",
        "no vector form: an atomic operation",
    ),
    "return": (DECLARE + "return", "no vector form: break, continue or return"),
    "a local array": (
        DECLARE + "c: List[pk.float] = [0.0]",
        "no vector form: a local array",
    ),
    "a loop of varying length": (
        DECLARE + "for k in range(v):\n    z += f",
        "the bounds of a loop differ between lanes",
    ),
    "a while of varying length": (
        DECLARE + "while z < f:\n    z += f",
        "the test of a loop differs between lanes",
    ),
    "a compound test": (
        DECLARE + "if z < f and n > 1:\n    z = f",
        "the test differs between lanes and is not one comparison",
    ),
    "an else": (
        DECLARE + "if z < f:\n    z = f\nelse:\n    z = 0.0",
        "the test differs between lanes and there is an else",
    ),
    "a store under a mask": (
        DECLARE + "if z < f:\n    y[0][0][v] = f",
        "the test differs between lanes and the body is not assignments to locals",
    ),
    "a literal that float rounds": (
        DECLARE + "if z < 0.1:\n    z = f",
        "the test does not compare numbers of float",
    ),
    "a test that an assignment changes": (
        DECLARE + "c: pk.float = z\nif z < f:\n    z = f\n    c = f",
        "an assignment changes the test of the next",
    ),
    "another type under a mask": (
        DECLARE + "q: pk.uint8 = 0\nif z < f:\n    q += b[0][0][v]",
        "`q` is not float",
    ),
    "a byte that is not summed": (
        DECLARE + "q: pk.uint8 = 0\nq -= b[0][0][v]",
        "`q` is a byte among float: only += of bytes",
    ),
    "a byte from arithmetic": (
        DECLARE + "q: pk.uint8 = b[0][0][v] + b[0][1][v]",
        "a byte that is computed from varying values",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(load: Load, name: str) -> None:
    """The lanes run one at a time, as written, and the IR says why."""
    body, reason = REFUSED[name]
    kernel = lane_function(load, body)
    left = lane_range(kernel)
    assert isinstance(left, ir.NestedPattern)
    assert left.scalar_because is not None
    assert reason in left.scalar_because
    assert replace(left, scalar_because=None, no_gather=False) == without_lines(kernel.body[0])


def test_a_reason_names_the_line(load: Load) -> None:
    kernel = lane_function(load, DECLARE + "y[0][0][v] = f / z")
    line = kernel.line + 13
    (left,) = vectorize(kernel, CPU).body
    assert isinstance(left, ir.NestedPattern)
    assert left.scalar_because == f"line {line}: no vector form: /"


RANGES: dict[str, tuple[str, str | None]] = {
    "pk.parallel_for(pk.ThreadVectorRange(m, 1, n), lane)": (
        "def lane(v: int):\n        x[v] = 0.0",
        "the range does not begin at 0",
    ),
    "s: float = pk.parallel_reduce(pk.ThreadVectorRange(m, n), lane)": (
        "def lane(v: int, s: pk.Acc[pk.double]):\n        s += x[v]",
        "a reduction over lanes",
    ),
    "pk.parallel_for(pk.TeamThreadRange(m, n), lane)": (
        "def lane(v: int):\n        x[v] = 0.0",
        None,
    ),
}


@pytest.mark.parametrize("call", RANGES)
def test_other_ranges(load: Load, call: str) -> None:
    function, reason = RANGES[call]
    text = f"{HEAD}@pk.workunit\ndef w(m: pk.TeamMember, x: pk.View1D[pk.float], n: int):\n    "
    kernel = analyse(parse(load(f"{text}{function}\n    {call}\n").w), ())
    (before,) = kernel.body
    (after,) = vectorize(kernel, CPU).body
    assert isinstance(before, ir.NestedPattern)
    assert after == replace(before, scalar_because=reason)


def test_ranges_in_loops_branches_and_threads_are_found(load: Load) -> None:
    text = f"""{HEAD}
@pk.workunit
def w(m: pk.TeamMember, x: pk.View1D[pk.float], n: int):
    def row(j: int):
        def lane(v: int):
            x[v] = 0.0

        for k in range(n):
            if k > j:
                while j > k:
                    pk.parallel_for(pk.ThreadVectorRange(m, n), lane)
            else:
                pk.parallel_for(pk.ThreadVectorRange(m, n), lane)

    pk.parallel_for(pk.TeamThreadRange(m, n), row)
"""
    (row,) = vectorize(analyse(parse(load(text).w), ()), CPU).body
    assert isinstance(row, ir.NestedPattern)
    (loop,) = row.function.body
    assert isinstance(loop, ir.For)
    (branch,) = loop.body
    assert isinstance(branch, ir.If)
    (inner,) = branch.body
    assert isinstance(inner, ir.While)
    assert [type(s) for s in (*inner.body, *branch.orelse)] == [ir.VectorRange] * 2


def test_a_workunit_without_lanes_stays_as_it_is(load: Load) -> None:
    text = f"{HEAD}@pk.workunit\ndef w(i: int, x: pk.View1D[pk.float]):\n    x[i] = 0.0\n"
    kernel = analyse(parse(load(text).w), ())
    for target in ExecutionSpace:
        assert vectorize(kernel, target) == kernel


# ---- what depends on the target ---------------------------------------------------------------


def test_gathers_stay_single_loads_on_a_cpu(load: Load) -> None:
    kernel = lane_function(load, "y[0][0][v] = x[0][0][index[v]]")
    assert [lane_range(kernel, each).no_gather for each in ExecutionSpace] == [True, True, False]
    strided = lane_function(load, "y[0][0][v] = x[0][v][0]")
    assert not lane_range(strided).no_gather


@pytest.mark.parametrize(
    ("loop", "unroll"),
    [
        ("q += b[0][k][v]", 4),
        ("c: int = index[k]\n    q += b[0][c][v]", 4),
        ("q += b[0][k][v]\n    z += f", 1),
        ("z += x[0][k][v]", 1),
        ("c: int = k", 1),
    ],
)
def test_loops_over_bytes_are_unrolled_on_a_cpu(load: Load, loop: str, unroll: int) -> None:
    body = f"{DECLARE}q: pk.uint8 = 0\nfor k in range(n):\n    {loop}\ny[0][0][v] = z"
    after = lane_range(lane_function(load, body))
    assert [s.unroll for s in after.body if isinstance(s, ir.For)] == [unroll]


@pytest.mark.parametrize(("count", "registers"), [(3, 4), (4, 1)])
def test_many_vectors_have_one_register_each_on_a_cpu(
    load: Load, count: int, registers: int
) -> None:
    body = "\n".join(f"z{j}: pk.float = x[0][{j}][v]" for j in range(count))
    kernel = lane_function(load, body)
    assert lane_range(kernel).registers == registers
    text = emit(vectorize(kernel, CPU), CPU).text
    assert ("lanes::for_each<float, 1, true>(n, " in text) == (registers == 1)
    assert "lanes::for_each<float>(m, n, " in emit(vectorize(kernel, GPU), GPU).text


@pytest.mark.parametrize(("count", "registers"), [(2, 4), (3, 1)])
def test_vectors_in_inner_blocks_count_too(load: Load, count: int, registers: int) -> None:
    outer = "\n".join(f"z{j}: pk.float = x[0][{j}][v]" for j in range(count))
    inner = "for k in range(n):\n    if k < 3:\n        q: pk.float = x[0][k][v]\n        z0 += q"
    assert lane_range(lane_function(load, f"{outer}\n{inner}")).registers == registers
