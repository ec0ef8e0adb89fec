"""The operators of the workunit language: their types are those of C++.

Operands that C++ would convert without a warning to a different value are refused.
"""

from __future__ import annotations

import ast
from typing import Final

from kkspdnn.pk import ir
from kkspdnn.pk.frontend.diagnostics import SourceFile
from kkspdnn.pk.frontend.unsupported import refuse_construct
from kkspdnn.pk.types import BOOL, DOUBLE, INT32, Scalar, promote

ARITHMETIC: Final[dict[type[ast.operator], str]] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.FloorDiv: "/",
    ast.Mod: "%",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
}
"""Python's operators as C++."""

_INTEGER_ONLY = (ast.FloorDiv, ast.Mod, ast.LShift, ast.RShift, ast.BitAnd, ast.BitOr, ast.BitXor)
_SHIFTS = (ast.LShift, ast.RShift)
_COMPARISONS: Final[dict[type[ast.cmpop], str]] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}


def binary(
    file: SourceFile, node: ast.AST, op: ast.operator, left: ir.Expr, right: ir.Expr
) -> ir.Expr:
    """Return `left op right`."""
    if isinstance(op, ast.Pow):
        return ir.Call("pow", (left, right), DOUBLE)
    if isinstance(op, ast.Div):
        return ir.Binary("/", ir.Cast(left, DOUBLE), right, DOUBLE)
    if type(op) not in ARITHMETIC:
        refuse_construct(file, node, op)
    type_ = promote(left.type, right.type)
    if isinstance(op, _INTEGER_ONLY) and type_.is_float:
        file.refuse(
            node,
            f"{ARITHMETIC[type(op)] if type(op) is not ast.FloorDiv else '//'} needs integers",
            "use / or math functions, or int(…) first",
        )
    if isinstance(op, _SHIFTS):
        return ir.Binary(ARITHMETIC[type(op)], left, right, promote(left.type, INT32))
    _check_signs(file, node, left, right)
    if isinstance(op, ast.FloorDiv):
        return _floor_division(file, node, left, right, type_)
    return ir.Binary(ARITHMETIC[type(op)], left, right, type_)


def _floor_division(
    file: SourceFile, node: ast.AST, left: ir.Expr, right: ir.Expr, type_: Scalar
) -> ir.Expr:
    """PyKokkos casts the quotient to a C++ int."""
    if type_.bits == 64:
        file.refuse(
            node,
            "PyKokkos narrows // to 32 bits",
            "divide 32-bit numbers, or shift by a power of two",
        )
    quotient = ir.Binary("/", left, right, type_)
    return quotient if type_ == INT32 else ir.Cast(quotient, INT32)


def _check_signs(file: SourceFile, node: ast.AST, left: ir.Expr, right: ir.Expr) -> None:
    """C++ converts a negative number to a large one if the other operand is unsigned and at least
    as wide."""
    wide = promote(left.type, right.type)
    if not wide.is_int or wide.is_signed:
        return
    for a, b in ((left, right), (right, left)):
        if a.type.is_signed and not isinstance(a, ir.Constant) and b.type == wide:
            file.refuse(
                node,
                f"{a.type.name} with {b.type.name}: C++ converts a negative number to a large one",
                "copy the unsigned number into a pk.int64 local first",
            )


def unary(file: SourceFile, node: ast.UnaryOp, operand: ir.Expr) -> ir.Expr:
    """Return `op operand`, with the operator of `node`."""
    match node.op:
        case ast.Not():
            return ir.Unary("!", operand, BOOL)
        case ast.Invert():
            if not operand.type.is_int:
                file.refuse(node, "~ needs an integer", "use not for a bool")
            return ir.Unary("~", operand, promote(operand.type, INT32))
    type_ = promote(operand.type, operand.type)
    if isinstance(node.op, ast.UAdd):
        return ir.Unary("+", operand, type_)
    if not type_.is_signed:
        file.refuse(
            node,
            f"minus a {type_.name}: C++ gives a large positive number",
            "copy it into a pk.int64 local first",
        )
    return ir.Unary("-", operand, type_)


def comparison_operator(file: SourceFile, node: ast.Compare) -> str:
    """Return the one operator of a comparison."""
    if len(node.ops) > 1:
        file.refuse(
            node,
            "a chained comparison is not in the workunit language",
            "write a < b and b < c",
        )
    (op,) = node.ops
    if type(op) not in _COMPARISONS:
        refuse_construct(file, node, op)
    return _COMPARISONS[type(op)]


def comparison(file: SourceFile, node: ast.AST, op: str, left: ir.Expr, right: ir.Expr) -> ir.Expr:
    """Return `left op right`, a bool."""
    _check_signs(file, node, left, right)
    return ir.Binary(op, left, right, BOOL)


def check_conversion(file: SourceFile, node: ast.AST, source: Scalar, target: Scalar) -> None:
    """Allow the implicit conversions of C++, except those that lose the upper half of a 64-bit
    index or the fraction of a number."""
    if source.is_int and source.bits == 64 and target.is_int and target.bits < 64:
        file.refuse(
            node, f"{source.name} into {target.name} may lose its upper bits", "write int(…)"
        )
    if source.is_float and not target.is_float:
        file.refuse(node, f"{source.name} into {target.name} drops the fraction", "write int(…)")
