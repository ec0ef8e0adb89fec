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
        _check_shift(file, node, op, left, right)
        return ir.Binary(ARITHMETIC[type(op)], left, right, promote(left.type, INT32))
    result = ir.Binary(ARITHMETIC[type(op)], left, right, type_)
    _check_constant(file, node, result)
    if isinstance(op, ast.FloorDiv | ast.Mod) and _subtracts(left):
        file.warn(
            node,
            f"for a negative number, C++'s {'//' if isinstance(op, ast.FloorDiv) else '%'} differs "
            "from Python's",
            "add a multiple of the divisor, or write int(…) around a number that is not negative",
        )
    _check_signs(file, node, left, right)
    if isinstance(op, ast.FloorDiv):
        return _floor_division(file, node, result)
    return result


def _check_shift(
    file: SourceFile, node: ast.AST, op: ast.operator, left: ir.Expr, right: ir.Expr
) -> None:
    """Refuse a shift whose result C++ does not define, or whose bits are lost."""
    bits, count, value = promote(left.type, INT32).bits, constant_value(right), constant_value(left)
    if count is None:
        return
    lost = isinstance(op, ast.LShift) and value is not None and value << max(count, 0) >= 2**31
    if not 0 <= count < bits or (bits == 32 and lost):
        file.refuse(
            node,
            f"a shift of a {bits}-bit number by {count} loses bits",
            "copy the number into a pk.int64 local first",
        )


def _check_constant(file: SourceFile, node: ast.AST, e: ir.Binary) -> None:
    """Refuse an operation on literals whose result does not fit its type."""
    result, bits = constant_value(e), e.type.bits
    if result is not None and not -(2 ** (bits - 1)) <= result < 2 ** (bits - 1):
        file.refuse(node, f"{result} does not fit {e.type.name}", "write the number as one literal")


def constant_value(e: ir.Expr) -> int | None:
    """Return the value of an expression of integer literals, else None."""
    match e:
        case ir.Constant(value=int(value)) if e.type.is_int:
            return value
        case ir.Unary(op="-", operand=operand):
            positive = constant_value(operand)
            return None if positive is None else -positive
        case ir.Binary(op="+" | "-" | "*" as op, left=left, right=right):
            a, b = constant_value(left), constant_value(right)
            if a is None or b is None:
                return None
            return {"+": a + b, "-": a - b, "*": a * b}[op]
    return None


def _subtracts(e: ir.Expr) -> bool:
    """Return whether an integer is the negative of something, or a difference without a sum."""
    match e:
        case ir.Unary(op="-"):
            return True
        case ir.Binary(op="-", left=left) if e.type.is_signed:
            return not (isinstance(left, ir.Binary) and left.op == "+")
    return False


def _floor_division(file: SourceFile, node: ast.AST, quotient: ir.Binary) -> ir.Expr:
    """PyKokkos casts the quotient to a C++ int."""
    if quotient.type.bits == 64:
        file.refuse(
            node,
            "PyKokkos narrows // to 32 bits",
            "divide 32-bit numbers, or shift by a power of two",
        )
    return quotient if quotient.type == INT32 else ir.Cast(quotient, INT32)


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
