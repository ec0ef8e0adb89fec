"""Checks of debug mode: every access of an array and every division of integers is checked."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, Final

from kkspdnn.pk import ir
from kkspdnn.pk.types import BOOL, Scalar

_DIVISIONS: Final = ("/", "%", "/=", "%=")
_ATOMIC_DIVISIONS: Final = ("atomic_fetch_div", "atomic_fetch_mod")
_RUNNING: Final = ir.Call("kkspdnn_checks::running", (), BOOL)
"""False after a failed check, whose values could keep a loop from ending."""


def add_checks(kernel: ir.Kernel) -> ir.Kernel:
    """Return a workunit that checks each index and each divisor, in place of `vectorize`.

    A while loop ends when a check has failed.
    """
    return replace(
        kernel,
        functions=_checked(kernel.functions, kernel.line),
        body=_checked(kernel.body, kernel.line),
    )


def _checked(node: Any, line: int) -> Any:
    """Return a node of the IR with checks in it; line: of the statement that it belongs to."""
    if isinstance(node, tuple):
        return tuple(_checked(each, line) for each in node)
    if not is_dataclass(node) or isinstance(node, Scalar | type):
        return node
    line = getattr(node, "line", line)
    names = [each.name for each in fields(node)]
    new = replace(node, **{name: _checked(getattr(node, name), line) for name in names})
    match new:
        case ir.Element():
            return ir.CheckedElement(new, line, new.type)
        case ir.Binary(op=op) if op in _DIVISIONS and new.type.is_int:
            return ir.CheckedDivision(op, new.left, new.right, line, new.type)
        case ir.Assign(op=op) if (
            op in _DIVISIONS and new.target.type.is_int and new.value.type.is_int
        ):
            type_ = new.target.type
            return ir.AssignChecked(
                line, ir.CheckedDivision(op, new.target, new.value, line, type_)
            )
        case ir.Atomic(function=name) if name in _ATOMIC_DIVISIONS and new.type.is_int:
            divisors: Any = tuple(ir.CheckedDivisor(each, line, new.type) for each in new.operands)
            return replace(new, operands=divisors)
        case ir.While():
            return replace(new, test=ir.Binary("&&", new.test, _RUNNING, BOOL))
    return new
