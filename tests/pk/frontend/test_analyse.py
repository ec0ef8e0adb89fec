"""Semantic analysis: from the source of a workunit to its typed IR."""

from __future__ import annotations

from typing import Any

import pytest
from ir_of_source import Load, source_of, without_lines

from kkspdnn.pk import ir
from kkspdnn.pk.frontend.analyse import analyse
from kkspdnn.pk.frontend.parse import parse
from kkspdnn.pk.signature import Parameter, Signature
from kkspdnn.pk.types import BOOL, DOUBLE, FLOAT, INT32, INT64, UINT8, UINT32, View

PARAMETERS = (
    "i: int, x: pk.View1D[pk.double], f: pk.View1D[pk.float], a: pk.View2D[pk.int32], "
    "u: pk.View1D[pk.uint32], w: pk.View1D[pk.int64], n: int, big: pk.int64, y: float, flag: bool"
)

ZERO, ONE, TWO = (ir.Constant(k, INT32) for k in (0, 1, 2))
HALF = ir.Constant(0.5, DOUBLE)
ITEM, N, K = (ir.Name(name, INT32) for name in ("i", "n", "k"))
Y, FLAG, BIG = ir.Name("y", DOUBLE), ir.Name("flag", BOOL), ir.Name("big", INT64)


def at_i(array: str, type: Any) -> ir.Element:
    return ir.Element(array, (ITEM,), type, local=False)


X, F, U, W = (
    at_i("x", DOUBLE),
    at_i("f", FLOAT),
    at_i("u", UINT32),
    at_i("w", INT64),
)


SIGNATURES: dict[str, Signature] = {
    "i: int, n: int": Signature("for", False, ("i",), None, None, None, (Parameter("n", INT32),)),
    "m: pk.TeamMember": Signature("for", True, ("m",), None, None, None, ()),
    "i: int, acc: pk.Acc[pk.int64], y: float": Signature(
        "reduce", False, ("i",), "acc", INT64, None, (Parameter("y", DOUBLE),)
    ),
    "i: int, acc: pk.Acc[pk.double], last: bool, x: pk.View1D[pk.uint8]": Signature(
        "scan", False, ("i",), "acc", DOUBLE, "last", (Parameter("x", View(UINT8, 1)),)
    ),
}


@pytest.mark.parametrize("parameters", SIGNATURES)
def test_signatures(load: Load, parameters: str) -> None:
    kernel = analyse(parse(load(source_of("pass", parameters)).w), ())
    assert kernel.signature == SIGNATURES[parameters]
    assert (kernel.name, kernel.body, kernel.functions) == ("w", (), ())


STATEMENTS: dict[str, ir.Stmt] = {
    "k: int = n": ir.Declare(0, "k", INT32, N),
    "k: pk.cpp_auto = f[i]": ir.Declare(0, "k", FLOAT, F),
    "k: pk.float = y": ir.Declare(0, "k", FLOAT, Y),
    "c: List[pk.float] = [0.5, y]": ir.DeclareArray(0, "c", FLOAT, (HALF, Y)),
    "x[i] = n": ir.Assign(0, X, "=", N),
    "x[i] += 0.5": ir.Assign(0, X, "+=", HALF),
    "a[i][0] = 1": ir.Assign(0, ir.Element("a", (ITEM, ZERO), INT32, False), "=", ONE),
    "return": ir.Jump(0, "return"),
    "if flag:\n    return\nelse:\n    x[i] = y": ir.If(
        0, FLAG, (ir.Jump(0, "return"),), (ir.Assign(0, X, "=", Y),)
    ),
    "while flag:\n    break": ir.While(0, FLAG, (ir.Jump(0, "break"),)),
    "for k in range(n):\n    continue": ir.For(
        0, "k", ZERO, N, ONE, False, (ir.Jump(0, "continue"),)
    ),
    "for k in range(n, 0, -2):\n    w[i] = k": ir.For(
        0, "k", N, ZERO, ir.Unary("-", TWO, INT32), True, (ir.Assign(0, W, "=", K),)
    ),
    "pk.atomic_fetch_add(w, [i], n)": ir.Evaluate(0, ir.Atomic("atomic_fetch_add", W, (N,), INT64)),
}


@pytest.mark.parametrize("source", STATEMENTS)
def test_statements(load: Load, source: str) -> None:
    kernel = analyse(parse(load(source_of(source, PARAMETERS)).w), ())
    assert without_lines(kernel.body) == (STATEMENTS[source],)


EXPRESSIONS: dict[str, ir.Expr] = {
    "1": ONE,
    "0.5": HALF,
    "5000000000": ir.Constant(5000000000, INT64),
    "True": ir.Constant(True, BOOL),
    "n + 1": ir.Binary("+", N, ONE, INT32),
    "n + big": ir.Binary("+", N, BIG, INT64),
    "n * f[i]": ir.Binary("*", N, F, FLOAT),
    "f[i] * y": ir.Binary("*", F, Y, DOUBLE),
    "u[i] + 1": ir.Binary("+", U, ONE, UINT32),
    "n // 2": ir.Binary("/", N, TWO, INT32),
    "u[i] // 2": ir.Cast(ir.Binary("/", U, TWO, UINT32), INT32),
    "n / 2": ir.Binary("/", ir.Cast(N, DOUBLE), TWO, DOUBLE),
    "n ** 2": ir.Call("pow", (N, TWO), DOUBLE),
    "big << n": ir.Binary("<<", BIG, N, INT64),
    "-n": ir.Unary("-", N, INT32),
    "not flag": ir.Unary("!", FLAG, BOOL),
    "n < 1": ir.Binary("<", N, ONE, BOOL),
    "flag and flag or flag": ir.Binary("||", ir.Binary("&&", FLAG, FLAG, BOOL), FLAG, BOOL),
    "int(y)": ir.Cast(Y, INT32),
    "x.extent(0)": ir.Extent("x", 0, INT64),
    "math.sqrt(f[i])": ir.Call("sqrt", (F,), FLOAT),
    "math.fmin(f[i], y)": ir.Call("fmin", (F, Y), DOUBLE),
    "pk.atomic_fetch_max(w, [i], 1)": ir.Atomic("atomic_fetch_max", W, (ONE,), INT64),
}


@pytest.mark.parametrize("source", EXPRESSIONS)
def test_expressions_have_the_types_of_cpp(load: Load, source: str) -> None:
    kernel = analyse(parse(load(source_of(f"z: pk.cpp_auto = {source}", PARAMETERS)).w), ())
    expected = EXPRESSIONS[source]
    assert without_lines(kernel.body) == (ir.Declare(0, "z", expected.type, expected),)


TEAM = "m: pk.TeamMember, x: pk.View1D[pk.double], n: int"


def test_nested_patterns(load: Load) -> None:
    body = """
        def element(j: int, acc: pk.Acc[pk.double]):
            acc += x[j]

        s: float = pk.parallel_reduce(pk.TeamThreadRange(m, 1, n), element)
        m.team_barrier()

        def lane(v: int):
            x[v] = s

        pk.parallel_for(pk.ThreadVectorRange(m, n), lane)
    """
    kernel = analyse(parse(load(source_of(body, TEAM)).w), ())
    j, v, acc = ir.Name("j", INT32), ir.Name("v", INT32), ir.Name("acc", DOUBLE)
    added = ir.Assign(0, acc, "+=", ir.Element("x", (j,), DOUBLE, False))
    stored = ir.Assign(0, ir.Element("x", (v,), DOUBLE, False), "=", ir.Name("s", DOUBLE))
    element, lane = (
        ir.NestedFunction("element", "j", "acc", DOUBLE, (added,)),
        ir.NestedFunction("lane", "v", None, None, (stored,)),
    )
    assert without_lines(kernel.body) == (
        ir.NestedPattern(0, "TeamThreadRange", "m", (ONE, N), element, "s"),
        ir.Barrier(0, "m"),
        ir.NestedPattern(0, "ThreadVectorRange", "m", (N,), lane, None),
    )


def test_functions(load: Load) -> None:
    """Each once, after those that it calls."""
    before = """
        @pk.function
        def half(z: float) -> float:
            return z / 2

        @pk.function
        def quarter(z: float) -> float:
            return half(half(z))
    """
    text = source_of("x[i] = quarter(y) + half(n)", PARAMETERS, before)
    kernel = analyse(parse(load(text).w), ())
    z = ir.Name("z", DOUBLE)
    halved = ir.ReturnValue(0, ir.Binary("/", ir.Cast(z, DOUBLE), TWO, DOUBLE))
    twice = ir.Call("half", (ir.Call("half", (z,), DOUBLE),), DOUBLE)
    assert without_lines(kernel.functions) == (
        ir.DeviceFunction("half", 0, (z,), DOUBLE, (halved,)),
        ir.DeviceFunction("quarter", 0, (z,), DOUBLE, (ir.ReturnValue(0, twice),)),
    )
    calls = ir.Binary("+", ir.Call("quarter", (Y,), DOUBLE), ir.Call("half", (N,), DOUBLE), DOUBLE)
    assert without_lines(kernel.body) == (ir.Assign(0, X, "=", calls),)


def test_views_that_are_stored_to(load: Load) -> None:
    body = "x[i] = f[i]\npk.atomic_fetch_add(w, [i], u[i])"
    assert analyse(parse(load(source_of(body, PARAMETERS)).w), ()).written == {"x", "w"}
