"""Legality of vectorization.

A lane function may run on vectors if all varying values have one type, are loaded from and stored
to neighbouring elements, and are operands of +, -, * and comparisons only. The type is
floating-point or uint8. Beside floating-point values, bytes may be summed and converted to that
type. On vectors, each lane computes the same operations in the same order as alone.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Final

from kkspdnn.pk import ir
from kkspdnn.pk.passes.lanes import Lanes
from kkspdnn.pk.passes.walk import reads
from kkspdnn.pk.types import DOUBLE, FLOAT, INT32, UINT8, Scalar

COMPARISONS: Final = ("==", "!=", "<", "<=", ">", ">=")

_NAMES: Final[dict[type, str]] = {
    ir.Atomic: "an atomic operation",
    ir.Barrier: "a barrier",
    ir.Call: "a function call",
    ir.Cast: "a conversion",
    ir.DeclareArray: "a local array",
    ir.DeclareScratch: "a scratch view",
    ir.Evaluate: "an atomic operation",
    ir.Jump: "break, continue or return",
    ir.NestedPattern: "a nested pattern",
    ir.Print: "pk.printf",
    ir.Single: "pk.single",
    ir.Unary: "a unary operator",
}


def obstacle(body: Sequence[ir.Stmt], lanes: Lanes) -> str | None:
    """Return why a body cannot run on vectors: `line N: reason`, or None if it can."""
    return next(_obstacles(body, lanes), None)


def _obstacles(body: Sequence[ir.Stmt], lanes: Lanes) -> Iterator[str]:
    for s in body:
        why = _in_statement(s, lanes)
        if why is not None:
            yield f"line {s.line}: {why}"
        match s:
            case ir.For() | ir.While():
                yield from _obstacles(s.body, lanes)
            case ir.If() if not lanes.varies(s.test):
                yield from _obstacles((*s.body, *s.orelse), lanes)


def _in_statement(s: ir.Stmt, lanes: Lanes) -> str | None:
    match s:
        case ir.Declare():
            return _in_declaration(s, lanes)
        case ir.Assign():
            return _in_assignment(s, lanes)
        case ir.For():
            varies = any(lanes.varies(bound) for bound in (s.begin, s.end, s.step))
            return "the bounds of a loop differ between lanes" if varies else None
        case ir.While():
            return "the test of a loop differs between lanes" if lanes.varies(s.test) else None
        case ir.If():
            return _in_branch(s, lanes) if lanes.varies(s.test) else None
    return f"no vector form: {_NAMES[type(s)]}"


def _in_declaration(s: ir.Declare, lanes: Lanes) -> str | None:
    if s.name not in lanes.varying:
        return None
    if s.type == UINT8:
        if not lanes.varies(s.value) or lanes.is_byte(s.value):
            return None
        return "a byte that is computed from varying values"
    if s.type != lanes.type:
        return f"`{s.name}` is {s.type.name} and differs between lanes of {lanes.type.name}"
    return _in_value(s.value, lanes)


def _in_assignment(s: ir.Assign, lanes: Lanes) -> str | None:
    target = s.target
    if isinstance(target, ir.Element):
        if target.type != lanes.type or not lanes.is_contiguous(target):
            return f"the store to `{target.array}` is not contiguous {lanes.type.name}"
        if s.op != "=":
            return f"{s.op} on an element"
        return _in_value(s.value, lanes)
    if target.name not in lanes.varying:
        return None
    if target.type == UINT8 != lanes.type:
        # Modulo 256 whether or not C++ adds in int.
        if s.op == "+=" and lanes.is_byte(s.value):
            return None
        return f"`{target.name}` is a byte among {lanes.type.name}: only += of bytes"
    if target.type != lanes.type:
        return f"`{target.name}` is {target.type.name} and differs between lanes"
    if s.op not in ("=", "+=", "-=", "*="):
        return f"no vector form: {s.op}"
    if s.op != "=" and s.value.type != lanes.type:
        return f"{s.value.type.name} {s.op} with {lanes.type.name}"
    return _in_value(s.value, lanes)


def _in_branch(s: ir.If, lanes: Lanes) -> str | None:
    """A varying test may only choose between values of locals: masked assignments."""
    test = s.test
    if not isinstance(test, ir.Binary) or test.op not in COMPARISONS:
        return "the test differs between lanes and is not one comparison"
    if s.orelse:
        return "the test differs between lanes and there is an else"
    for side in (test.left, test.right):
        if not _is_comparable(side, lanes):
            return f"the test does not compare numbers of {lanes.type.name}"
    assigned: list[str] = []
    for inner in s.body:
        if not isinstance(inner, ir.Assign) or not isinstance(inner.target, ir.Name):
            return "the test differs between lanes and the body is not assignments to locals"
        if any(reads(test, name) for name in assigned):
            return "an assignment changes the test of the next"
        if inner.target.type != lanes.type:
            return f"`{inner.target.name}` is not {lanes.type.name}"
        why = _in_assignment(inner, lanes)
        if why is not None:
            return why
        assigned.append(inner.target.name)
    return None


def _is_comparable(e: ir.Expr, lanes: Lanes) -> bool:
    """Whether a comparison in the lanes' type has the result of C++'s in the wider type."""
    if isinstance(e, ir.Constant):
        return _is_exact(e, lanes.type)
    return e.type == lanes.type and _in_value(e, lanes) is None


def _is_exact(e: ir.Constant, type_: Scalar) -> bool:
    """Return whether a literal is a number of this type."""
    if e.type not in (INT32, DOUBLE):
        return False
    try:
        rounded: float = struct.unpack("f", struct.pack("f", e.value))[0]
    except OverflowError:
        return False
    if type_ == UINT8:
        return e.value in range(256)
    return type_ != FLOAT or rounded == e.value


def _in_value(e: ir.Expr, lanes: Lanes) -> str | None:
    if not lanes.varies(e):
        return None
    match e:
        case ir.Name() if e.name == lanes.index:
            return f"the lane number `{e.name}` is a value"
        case ir.Element() if not lanes.is_contiguous(e):
            return f"the load of `{e.array}` is not contiguous"
        case ir.Binary() if e.op not in ("+", "-", "*"):
            return f"no vector form: {e.op}"
        case ir.Name() | ir.Element() | ir.Binary() if e.type != lanes.type:
            return f"{e.type.name} in an expression of {lanes.type.name}"
        case ir.Name() | ir.Element():
            return None
        case ir.Binary():
            return _in_operand(e.left, lanes) or _in_operand(e.right, lanes)
    return f"no vector form: {_NAMES[type(e)]}"


def _in_operand(e: ir.Expr, lanes: Lanes) -> str | None:
    if lanes.is_byte(e):
        return None
    if e.type != lanes.type:
        return f"{e.type.name} in an expression of {lanes.type.name}"
    return _in_value(e, lanes)
