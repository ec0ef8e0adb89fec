"""Expressions of the IR as Python: PyKokkos's translation keeps their meaning."""

from __future__ import annotations

import itertools
import operator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_of_source import Load, source_of
from python_as_cpp import evaluate

from kkspdnn.pk import ir
from kkspdnn.pk.codegen.python_expressions import bare, expression
from kkspdnn.pk.frontend.analyse import analyse
from kkspdnn.pk.frontend.parse import parse
from kkspdnn.pk.types import BOOL, INT32

PARAMETERS = (
    "i: int, a: bool, b: bool, c: bool, p: int, q: int, u: pk.uint32, x: float, f: pk.float, "
    "whole: pk.View2D[pk.int32], real: pk.View1D[pk.double]"
)


def ir_of(load: Load, text: str) -> Any:
    """The IR of an expression of the parameters."""
    kernel = analyse(parse(load(source_of(f"whole[0][0] = {text}", PARAMETERS)).w), ())
    (statement,) = kernel.body
    assert isinstance(statement, ir.Assign)
    return statement.value


@pytest.mark.parametrize(
    "text",
    [
        "a and (b or c)",
        "(a or b) and c",
        "a or b and c",
        "a and (b and c)",
        "a or (b or c)",
        "(a and b) == c",
        "a != (b or c)",
        "not (a or b) and c",
        "not (a and (b or not c))",
        "(a or b) == (b and c)",
        "-(a and b)",
        "-(not a)",
        "+(a or b) - c",
        "p * (a and b)",
    ],
)
def test_logic_keeps_its_meaning(load: Load, text: str) -> None:
    """PyKokkos writes && and || without parentheses."""
    e = ir_of(load, text)
    for a, b, c in itertools.product((False, True), repeat=3):
        names = {"a": a, "b": b, "c": c, "p": 3}
        for printed in (expression(e), bare(e)):
            assert evaluate(printed, names) == eval(text, {}, names), (printed, names)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("p // q", "p // q"),  # PyKokkos casts the result to int.
        ("u // 2", "(u // 2)"),
        ("int((p // q) / 2)", "int((p // q) / 2)"),
        ("int(p // q) % 3", "(p // q) % 3"),
        ("int(p / q)", "int(p / q)"),  # PyKokkos casts p to double.
        ("int(x / 2)", "int(x / 2)"),
        ("int((p + q) / 2)", "int((p + q) / 2)"),
        ("int(x ** 2)", "int(math.pow(x, 2))"),
        ("int(math.sqrt(f))", "int(math.sqrt(f))"),
        ("int(1e300 * x)", "int(1e+300 * x)"),
        ("-p + +q", "(-p) + (+q)"),
        ("~p & 255 | q << 3", "((~p) & 255) | (q << 3)"),
        ("p < q", "p < q"),
        ("not p < q", "not (p < q)"),
        ("(not a) == b", "(not (a)) == b"),
        ("True", "True"),
        ("whole[p + 1][whole[0][q]]", "whole[p + 1][whole[0][q]]"),
        ("int(whole.extent(1))", "int(whole.extent(1))"),
        ("pk.atomic_fetch_add(whole, [p, q + 1], 2)", "pk.atomic_fetch_add(whole, [p, q + 1], 2)"),
    ],
)
def test_text(load: Load, text: str, printed: str) -> None:
    e = ir_of(load, text)
    assert bare(e) == printed
    if isinstance(e, ir.Binary):
        assert expression(e) == f"({printed})"


OPERATORS = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "&": operator.and_, "|": operator.or_,
    "^": operator.xor, "<": operator.lt, "<=": operator.le, "==": operator.eq, "!=": operator.ne,
    "&&": lambda left, right: left and right, "||": lambda left, right: left or right,
}  # fmt: skip
UNARY = {"-": operator.neg, "+": operator.pos, "~": operator.invert, "!": operator.not_}

NAMES = {"a": True, "b": False, "p": 3, "q": -5}


def value_of(e: ir.Expr) -> Any:
    match e:
        case ir.Constant():
            return e.value
        case ir.Name():
            return NAMES[e.name]
        case ir.Unary():
            return UNARY[e.op](value_of(e.operand))
        case ir.Binary(op="/"):
            return int(value_of(e.left) / value_of(e.right))
        case ir.Binary(op="%"):
            return value_of(e.left) - value_of(e.right) * int(value_of(e.left) / value_of(e.right))
        case ir.Binary():
            return OPERATORS[e.op](value_of(e.left), value_of(e.right))
    raise AssertionError(e)


def unary(ops: str, operand: Any, type_: Any) -> Any:
    return st.builds(ir.Unary, st.sampled_from(ops.split()), operand, st.just(type_))


def binary(ops: str, left: Any, right: Any, type_: Any) -> Any:
    return st.builds(ir.Binary, st.sampled_from(ops.split()), left, right, st.just(type_))


DIVISORS = st.builds(ir.Constant, st.integers(1, 4), st.just(INT32))
LEAVES = {
    INT32: DIVISORS | st.sampled_from([ir.Name("p", INT32), ir.Name("q", INT32)]),
    BOOL: st.sampled_from([ir.Name("a", BOOL), ir.Name("b", BOOL), ir.Constant(True, BOOL)]),
}


def expressions(type_: Any, depth: int) -> Any:
    """IR of integers or of bools, which may contain each other."""
    if not depth:
        return LEAVES[type_]
    ints, bools = expressions(INT32, depth - 1), expressions(BOOL, depth - 1)
    if type_ is INT32:
        inner = unary("- + ~", ints, INT32) | unary("- +", bools, INT32)
        inner |= binary("+ - * & | ^", ints, ints, INT32) | binary("/ %", ints, DIVISORS, INT32)
        return LEAVES[type_] | inner | binary("+ *", bools, ints, INT32)
    inner = unary("!", bools, BOOL) | binary("&& ||", bools, bools, BOOL)
    return (
        LEAVES[type_]
        | inner
        | binary("< <= == !=", ints, ints, BOOL)
        | binary("== !=", bools, bools, BOOL)
    )


@given(e=expressions(BOOL, 4) | expressions(INT32, 4))
def test_expressions_keep_their_value(e: ir.Expr) -> None:
    for printed in (expression(e), bare(e)):
        assert evaluate(printed, NAMES) == value_of(e)
