"""Vector lanes: which nested ranges can run on packs of lanes, and their expressions.

A pack is in SIMD registers on a CPU, and in several registers of a thread on a GPU. A
ThreadVectorRange is planned for packs when every number that differs between lanes has one
floating-point type, is loaded from and stored to neighbouring elements (the lane is the last
index and nothing else), and meets only +, -, * and comparisons in that type. Beside them there may
be bytes, neighbours too, that are added up and turned into that type. Or all are bytes, which are
added up and compared. Everything else stays one lane at a time. Either way every lane does the same
arithmetic in the same order.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from kkspdnn.pk import ir
from kkspdnn.pk.types import FLOAT, UINT8, Scalar

_CHOICES = {
    "==": "if_equal",
    "!=": "if_not_equal",
    "<": "if_less",
    "<=": "if_less_equal",
    ">": "if_greater",
    ">=": "if_greater_equal",
}


class Scalars(Protocol):
    """Writes what is the same in every lane."""

    def value(self, e: ir.Expr) -> str:
        """An expression."""

    def address(self, e: ir.Element) -> str:
        """Where the element of the first lane is."""


@dataclass(frozen=True)
class Plan:
    """How a lane function runs on packs.

    lane: its work item; type: what differs between lanes, a floating-point type or uint8; varying:
    the locals that do, of that type or bytes
    """

    lane: str
    type: Scalar
    varying: frozenset[str]

    def varies(self, e: ir.Expr) -> bool:
        """Does the expression differ between lanes?"""
        return any(
            isinstance(part, ir.Name) and (part.name in self.varying or part.name == self.lane)
            for part in parts(e)
        )

    def adds_bytes(self, loop: ir.For) -> bool:
        """Does the loop do nothing but add up bytes, from elements that may be where locals say?"""
        sums = [
            s for s in loop.body if not (isinstance(s, ir.Declare) and s.name not in self.varying)
        ]
        return bool(sums) and all(
            isinstance(s, ir.Assign)
            and s.target.type == UINT8
            and isinstance(s.target, ir.Name)
            and s.target.name in self.varying
            for s in sums
        )

    def expression(self, e: ir.Expr, scalar: Scalars) -> str:
        """`e` as a pack."""
        if not self.varies(e):
            return f"P::all({scalar.value(e)})"
        if isinstance(e, ir.Element):
            return f"{self.pack(e.type)}::load({scalar.address(e)})"
        if isinstance(e, ir.Binary):
            left, right = (self._operand(side, scalar) for side in (e.left, e.right))
            return f"({left} {e.op} {right})"
        return scalar.value(e)

    def _operand(self, e: ir.Expr, scalar: Scalars) -> str:
        text = self.expression(e, scalar)
        return f"P::of({text})" if self.varies(e) and e.type != self.type else text

    def pack(self, kind: Scalar) -> str:
        """The type of a pack of such numbers."""
        return "P" if kind == self.type else "lanes::bytes<P::width>"

    def declared(self, s: ir.Declare, scalar: Scalars) -> str:
        """The first value of a local that differs between lanes."""
        if s.type == UINT8 and not self.varies(s.value):
            return f"{self.pack(UINT8)}::all({scalar.value(s.value)})"
        return self.expression(s.value, scalar)

    def choice(self, test: ir.Binary, yes: str, no: str, scalar: Scalars) -> str:
        """`yes` in the lanes where the comparison holds, else `no`."""
        left, right = (self.expression(side, scalar) for side in (test.left, test.right))
        return f"lanes::{_CHOICES[test.op]}({left}, {right}, {yes}, {no})"


def plan(nested: ir.Nested) -> Plan | None:
    """The plan for a ThreadVectorRange, or None where its lanes must run one by one."""
    lane = nested.inner.index
    if nested.range != "ThreadVectorRange" or nested.into is not None or len(nested.bounds) != 1:
        return None
    types = {
        e.type
        for statement in statements(nested.inner.body)
        for e in _all_parts(statement)
        if isinstance(e, ir.Element) and any(_names(i, lane) for i in e.indices)
    }
    if types != {UINT8}:
        types.discard(UINT8)
    if len(types) != 1:
        return None
    (kind,) = types
    if not kind.is_float and kind != UINT8:
        return None
    varying: frozenset[str] = frozenset()
    while True:
        grown = _grow(nested.inner.body, Plan(lane, kind, varying))
        if grown == varying:
            break
        varying = grown
    made = Plan(lane, kind, varying)
    return made if all(_fits(s, made) for s in nested.inner.body) else None


def scattered(nested: ir.Nested) -> bool:
    """Do neighbouring lanes load elements that are wherever another array says?"""
    lane = nested.inner.index
    return nested.range == "ThreadVectorRange" and any(
        isinstance(e, ir.Element)
        and any(isinstance(part, ir.Element) and _names(part, lane) for part in _index_parts(e))
        for statement in statements(nested.inner.body)
        for e in _all_parts(statement)
    )


def _index_parts(e: ir.Element) -> Iterator[ir.Expr]:
    for index in e.indices:
        yield from parts(index)


def statements(body: Sequence[ir.Stmt]) -> Iterator[ir.Stmt]:
    """Every statement of a body, those of inner blocks too."""
    for statement in body:
        yield statement
        if isinstance(statement, (ir.For, ir.While)):
            yield from statements(statement.body)
        elif isinstance(statement, ir.If):
            yield from statements(statement.body)
            yield from statements(statement.orelse)


def changed_by(loop: ir.For | ir.While) -> frozenset[str]:
    """The names whose values a loop changes from turn to turn."""
    found = {loop.counter} if isinstance(loop, ir.For) else set[str]()
    for s in statements(loop.body):
        match s:
            case ir.Declare(name=name) | ir.DeclareArray(name=name) | ir.For(counter=name):
                found.add(name)
            case ir.Assign(target=ir.Name(name=name) | ir.Element(array=name)):
                found.add(name)
    return frozenset(found)


def changes(e: ir.Expr, names: frozenset[str]) -> bool:
    """Does an expression's value change with one of these names?"""
    return any(
        (isinstance(part, ir.Name) and part.name in names)
        or (isinstance(part, ir.Element) and part.array in names)
        for part in parts(e)
    )


def parts(e: ir.Expr) -> Iterator[ir.Expr]:
    """An expression and all its parts."""
    yield e
    match e:
        case ir.Element():
            for index in e.indices:
                yield from parts(index)
        case ir.Unary() | ir.Cast():
            yield from parts(e.operand)
        case ir.Binary():
            yield from parts(e.left)
            yield from parts(e.right)
        case ir.Call():
            for argument in e.arguments:
                yield from parts(argument)
        case ir.Atomic():
            yield from parts(e.target)
            yield from parts(e.value)


def _all_parts(s: ir.Stmt) -> Iterator[ir.Expr]:
    match s:
        case ir.Declare():
            yield from parts(s.value)
        case ir.Assign():
            yield from parts(s.target)
            yield from parts(s.value)
        case ir.If() | ir.While():
            yield from parts(s.test)
        case ir.For():
            for bound in (s.begin, s.end, s.step):
                yield from parts(bound)


def _names(e: ir.Expr, name: str) -> bool:
    return any(isinstance(part, ir.Name) and part.name == name for part in parts(e))


def _grow(body: Sequence[ir.Stmt], p: Plan, inside: bool = False) -> frozenset[str]:
    """The varying locals, one round further; `inside` an if whose test differs between lanes."""
    found = set(p.varying)
    for s in body:
        match s:
            case ir.Declare() if p.varies(s.value):
                found.add(s.name)
            case ir.Assign(target=ir.Name(name=name)) if inside or p.varies(s.value):
                found.add(name)
            case ir.If():
                deeper = inside or p.varies(s.test)
                found |= _grow(s.body, p, deeper) | _grow(s.orelse, p, deeper)
            case ir.For() | ir.While():
                found |= _grow(s.body, p, inside)
    return frozenset(found)


def _fits(s: ir.Stmt, p: Plan) -> bool:
    match s:
        case ir.Declare():
            if s.name in p.varying and s.type == UINT8:
                return not p.varies(s.value) or _byte(s.value, p)
            return s.name not in p.varying or (s.type == p.type and _value_fits(s.value, p))
        case ir.Assign():
            return _assignment_fits(s, p)
        case ir.For():
            bounds = (s.begin, s.end, s.step)
            return not any(p.varies(b) for b in bounds) and all(_fits(b, p) for b in s.body)
        case ir.While():
            return not p.varies(s.test) and all(_fits(b, p) for b in s.body)
        case ir.If() if p.varies(s.test):
            return _choice_fits(s, p)
        case ir.If():
            return all(_fits(b, p) for b in (*s.body, *s.orelse))
    return False


def _assignment_fits(s: ir.Assign, p: Plan) -> bool:
    if isinstance(s.target, ir.Name) and s.target.name not in p.varying:
        return True
    if isinstance(s.target, ir.Element) and not (
        _neighbouring(s.target, p) and s.target.type == p.type
    ):
        return False
    if isinstance(s.target, ir.Name) and s.target.type == UINT8 != p.type:
        # Modulo 256 whether or not C++ adds in int.
        return s.op == "+=" and _byte(s.value, p)
    if s.op == "=":
        return s.target.type == p.type and _value_fits(s.value, p)
    return (
        isinstance(s.target, ir.Name)
        and s.op in ("+=", "-=", "*=")
        and s.target.type == p.type
        and s.value.type == p.type
        and _value_fits(s.value, p)
    )


def _choice_fits(s: ir.If, p: Plan) -> bool:
    """A test that differs between lanes may only choose what a local becomes."""
    test = s.test
    if not isinstance(test, ir.Binary) or test.op not in _CHOICES or s.orelse:
        return False
    if not all(_comparable(side, p) for side in (test.left, test.right)):
        return False
    return all(
        isinstance(b, ir.Assign)
        and isinstance(b.target, ir.Name)
        and b.target.type == p.type
        and _assignment_fits(b, p)
        for b in s.body
    ) and not _test_changes(s)


def _test_changes(s: ir.If) -> bool:
    """With several assignments, one must not change what the test of the next reads."""
    assigned = [
        b.target.name for b in s.body if isinstance(b, ir.Assign) and isinstance(b.target, ir.Name)
    ]
    return any(_names(s.test, name) for name in assigned[:-1])


def _comparable(e: ir.Expr, p: Plan) -> bool:
    """Comparing in the lanes' type must give what C++ gives in the wider one."""
    if isinstance(e, ir.Constant):
        return _exact(e, p.type)
    return e.type == p.type and _value_fits(e, p)


def _exact(e: ir.Constant, kind: Scalar) -> bool:
    try:
        number = float(e.text)
        rounded: float = struct.unpack("f", struct.pack("f", number))[0]
    except (ValueError, OverflowError):
        return False
    if kind == UINT8:
        return number in range(256)
    return kind != FLOAT or rounded == number


def _value_fits(e: ir.Expr, p: Plan) -> bool:
    if not p.varies(e):
        return True
    match e:
        case ir.Name():
            return e.name in p.varying and e.type == p.type
        case ir.Element():
            return _neighbouring(e, p) and e.type == p.type
        case ir.Binary():
            return (
                e.op in ("+", "-", "*")
                and e.type == p.type
                and _operand_fits(e.left, p)
                and _operand_fits(e.right, p)
            )
    return False


def _operand_fits(e: ir.Expr, p: Plan) -> bool:
    return _byte(e, p) or (e.type == p.type and _value_fits(e, p))


def _byte(e: ir.Expr, p: Plan) -> bool:
    """A byte of every lane: a local, or neighbouring elements."""
    if e.type != UINT8 or not p.varies(e):
        return False
    return isinstance(e, ir.Name) or (isinstance(e, ir.Element) and _neighbouring(e, p))


def _neighbouring(e: ir.Element, p: Plan) -> bool:
    last = e.indices[-1]
    return (
        not e.local
        and e.type in (p.type, UINT8)
        and isinstance(last, ir.Name)
        and last.name == p.lane
        and not any(p.varies(i) for i in e.indices[:-1])
    )
