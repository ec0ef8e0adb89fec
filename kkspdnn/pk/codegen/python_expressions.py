"""PyKokkos source of the scalar expressions of the IR."""

from __future__ import annotations

import math
from typing import Final

from kkspdnn.pk import ir
from kkspdnn.pk.frontend.intrinsics import MATH
from kkspdnn.pk.types import BOOL, DOUBLE, FLOAT, INT32, Scalar

_CONVERSIONS: Final = {FLOAT: "pk.float", DOUBLE: "pk.double", BOOL: "bool"}
"""PyKokkos's casts; all others are of integers."""

_LOGIC: Final = {"&&": "and", "||": "or"}


def annotation(type_: Scalar) -> str:
    """Return the annotation of a local or a parameter of a type."""
    if type_ is INT32:
        return "int"
    return "bool" if type_.name == "bool" else f"pk.{type_.name}"


def expression(e: ir.Expr) -> str:
    """Return an expression as Python, with parentheses around every operator."""
    match e:
        case ir.Constant(value=float(value)) if not math.isfinite(value):
            return f"math.{value}"
        case ir.Constant(value=value):
            return repr(value)
        case ir.Name():
            return e.name
        case ir.Element():
            return e.array + "".join(f"[{bare(index)}]" for index in e.indices)
        case ir.Extent():
            return f"{e.view}.extent({e.dimension})"
        case ir.Unary(op="!"):
            return f"not ({bare(e.operand)})"
        case ir.Unary():
            return f"({e.op}{_operand(e.operand)})"
        case ir.Binary(op=op) if op in _LOGIC:
            return _logic(e)
        case ir.Binary(op="/"):
            return _quotient(e)
        case ir.Binary():
            return f"({_operand(e.left)} {e.op} {_operand(e.right)})"
        case ir.Cast(operand=ir.Binary(op="/", type=type_) as quotient) if type_.is_int:
            return _quotient(quotient)  # PyKokkos casts the result of // to int
        case ir.Cast():
            return f"{_CONVERSIONS.get(e.type, 'int')}({bare(e.operand)})"
        case ir.Call():
            function = f"math.{e.function}" if e.function in MATH else e.function
            return f"{function}({', '.join(bare(a) for a in e.arguments)})"
        case ir.ViewArgument():
            return e.view
        case ir.TeamCall():
            return f"{e.team}.{e.method}()"
        case ir.Atomic():
            indices = ", ".join(bare(i) for i in e.target.indices)
            operands = "".join(f", {bare(operand)}" for operand in e.operands)
            return f"pk.{e.function}({e.target.array}, [{indices}]{operands})"


def bare(e: ir.Expr) -> str:
    """Return an expression as Python without its outermost parentheses."""
    text = expression(e)
    logic = isinstance(e, ir.Binary) and e.op in _LOGIC
    is_operator = isinstance(e, ir.Binary | ir.Unary) and not logic and text.startswith("(")
    return text[1:-1] if is_operator else text


def _quotient(e: ir.Binary) -> str:
    if e.type is DOUBLE:
        # PyKokkos casts the left operand of / to double.
        left = e.left.operand if isinstance(e.left, ir.Cast) else e.left
        return f"({_operand(left)} / {_operand(e.right)})"
    return f"({_operand(e.left)} // {_operand(e.right)})"


def _logic(e: ir.Binary) -> str:
    """PyKokkos writes `and` and `or` without parentheses: `a and (b or c)` becomes a && b || c."""
    sides = (e.left, e.right)
    return f" {_LOGIC[e.op]} ".join(
        _logic(side)
        if isinstance(side, ir.Binary) and side.op == e.op and side is e.left
        else _operand(side)
        for side in sides
    )


def _operand(e: ir.Expr) -> str:
    """An operand; logic in parentheses that PyKokkos keeps."""
    if isinstance(e, ir.Binary) and e.op in _LOGIC:
        return f"(not (not ({_logic(e)})))"
    text = expression(e)
    return f"({text})" if text.startswith("not ") else text
