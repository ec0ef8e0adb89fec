"""C++ of the expressions of the IR."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from kkspdnn.pk import ir
from kkspdnn.pk.frontend.intrinsics import MATH, SHIFT_ATOMICS
from kkspdnn.pk.types import BOOL, INT64, Scalar, math_type

_STANDARD: Final = frozenset({"abs", *MATH})
"""Functions of the C++ standard library, with an overload for each type."""

_SELECT: Final = {
    "==": "if_equal",
    "!=": "if_not_equal",
    "<": "if_less",
    "<=": "if_less_equal",
    ">": "if_greater",
    ">=": "if_greater_equal",
}
"""The function of the lanes headers that selects by a comparison."""


CHECKS: Final = "kkspdnn_checks"
"""The namespace of the header of debug mode."""

_DIVISIONS: Final = {
    "/": "divide",
    "%": "remainder",
    "/=": "assign_quotient",
    "%=": "assign_remainder",
}
"""The function of that header that checks a division."""


def expression(e: ir.Expr | ir.CheckedExpr) -> str:
    """Return an expression as C++, with parentheses around every operator."""
    match e:
        case ir.Constant():
            return _literal(e)
        case ir.Name():
            return e.name
        case ir.Element(array=array, indices=indices, local=True):
            return f"{array}[{expression(indices[0])}]"
        case ir.Element(array=array, indices=indices):
            return f"{array}({', '.join(_index(indices, d) for d in range(len(indices)))})"
        case ir.Extent():
            return f"static_cast<int64_t>({e.view}.extent({e.dimension}))"
        case ir.Unary():
            return f"({e.op}{expression(e.operand)})"
        case ir.Binary():
            return f"({expression(e.left)} {e.op} {expression(e.right)})"
        case ir.Cast():
            return f"static_cast<{e.type.cpp}>({expression(e.operand)})"
        case ir.Call():
            return _call(e)
        case ir.ViewArgument():
            return e.view
        case ir.TeamCall():
            return f"{e.team}.{e.method}()"
        case ir.Atomic():
            return _atomic(e)
        case ir.CheckedElement(element=ir.Element(array=array, indices=indices)):
            place = f'kkspdnn_place({e.line}, "{array}")'
            return f"{CHECKS}::at({place}, {array}, {', '.join(map(bare, indices))})"
        case ir.CheckedDivision():
            place = f'kkspdnn_place({e.line}, "")'
            operands = f"{bare(e.left)}, {bare(e.right)}"
            return f"{CHECKS}::{_DIVISIONS[e.op]}({place}, {operands})"
        case ir.CheckedDivisor():
            value = f"static_cast<{e.type.cpp}>({bare(e.value)})"
            return f'{CHECKS}::divisor(kkspdnn_place({e.line}, ""), {value})'


def _call(e: ir.Call) -> str:
    if e.function not in _STANDARD:
        return f"{e.function}({', '.join(expression(a) for a in e.arguments)})"
    # nvcc has the overloads for arguments of one type.
    type_ = e.type
    if type_ == BOOL:
        type_ = math_type(a.type for a in e.arguments)
    arguments = ", ".join(expression(_cast(a, type_)) for a in e.arguments)
    return f"std::{e.function}({arguments})"


def _cast(e: ir.Expr, type_: Scalar) -> ir.Expr:
    return e if e.type == type_ else ir.Cast(e, type_)


def _atomic(e: ir.Atomic) -> str:
    type_ = "unsigned" if e.function in SHIFT_ATOMICS else e.type.cpp
    operands = "".join(f", static_cast<{type_}>({expression(each)})" for each in e.operands)
    return f"Kokkos::{e.function}(&{expression(e.target)}{operands})"


def _literal(e: ir.Constant) -> str:
    if isinstance(e.value, bool):
        return "true" if e.value else "false"
    if not math.isfinite(e.value):
        return f"double({'NAN' if math.isnan(e.value) else 'INFINITY'})"
    return f"INT64_C({e.value})" if e.type == INT64 else repr(e.value)


def bare(e: ir.Expr | ir.CheckedExpr) -> str:
    """Return an expression as C++ without its outermost parentheses."""
    text = expression(e)
    return text[1:-1] if isinstance(e, (ir.Binary, ir.Unary)) else text


def _index(indices: tuple[ir.Expr, ...], dimension: int) -> str:
    """One index of a view. Kokkos 3.4 multiplies the middle one of three by a 32-bit extent, which
    wraps in matrices past 2^32 elements unless the index itself has 64 bits."""
    index = indices[dimension]
    if len(indices) == 3 and dimension == 1 and index.type.bits < 64:
        return f"int64_t({bare(index)})"
    return expression(index)


@dataclass(frozen=True)
class Vectors:
    """C++ of the vectors in a VectorRange, as packs of the lanes headers.

    type: of the range; its packs are called `_pack`
    """

    type: Scalar

    def pack(self, type_: Scalar) -> str:
        """Return the C++ type of a vector."""
        return "_pack" if type_ == self.type else "lanes::bytes_of<_pack>"

    def expression(self, e: ir.VectorExpr) -> str:
        """Return a vector as C++."""
        match e:
            case ir.VectorName():
                return e.name
            case ir.VectorElement():
                return f"{e.array}[{expression(e.index)}]"
            case ir.VectorLoad():
                return f"{self.pack(e.type)}::load({_address(e.source)})"
            case ir.Broadcast():
                return f"{self.pack(e.type)}::all({expression(e.operand)})"
            case ir.Widen():
                return f"{self.pack(e.type)}::of({self.expression(e.operand)})"
            case ir.VectorBinary():
                return f"({self.expression(e.left)} {e.op} {self.expression(e.right)})"

    def assignment(self, s: ir.AssignVector) -> str:
        """Return an assignment as C++, without the semicolon."""
        name, value = self.expression(s.target), self.expression(s.value)
        if s.mask is None:
            return f"{name} {s.op} {value}"
        new = value if s.op == "=" else f"{name} {s.op[:-1]} {value}"
        left, right = self.expression(s.mask.left), self.expression(s.mask.right)
        return f"{name} = lanes::{_SELECT[s.mask.op]}({left}, {right}, {new}, {name})"


def _address(e: ir.Element | ir.StridedElement) -> str:
    if isinstance(e, ir.Element):
        return f"&{expression(e)}"
    array, indices = e.base.array, [expression(index) for index in e.base.indices]
    indices[e.dimension] = bare(e.base.indices[e.dimension])
    base = f"lanes::at({', '.join([array, *indices])})"
    return f"lanes::step<{e.dimension}, (_pack::width > 1)>({array}, {base}, {bare(e.count)})"
