"""Divergence analysis of a ThreadVectorRange: which values differ between its lanes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kkspdnn.pk import ir
from kkspdnn.pk.passes.walk import expressions, reads, subexpressions, walk
from kkspdnn.pk.types import UINT8, Scalar


@dataclass(frozen=True)
class Lanes:
    """The values of a lane function that differ between lanes; all others are uniform.

    index: its work item
    type: of the varying values, a floating-point type or uint8
    varying: the locals that differ between lanes
    """

    index: str
    type: Scalar
    varying: frozenset[str]

    def varies(self, e: ir.Expr) -> bool:
        """Return whether an expression differs between lanes."""
        return any(
            isinstance(each, ir.Name) and (each.name in self.varying or each.name == self.index)
            for each in subexpressions(e)
        )

    def is_contiguous(self, e: ir.Element) -> bool:
        """Return whether neighbouring lanes access neighbouring elements of a view."""
        *outer, last = e.indices
        return (
            not e.local
            and e.type in (self.type, UINT8)
            and isinstance(last, ir.Name)
            and last.name == self.index
            and not any(self.varies(index) for index in outer)
        )

    def is_byte(self, e: ir.Expr) -> bool:
        """Return whether an expression is a varying byte: a local or a contiguous load."""
        if e.type != UINT8 or not self.varies(e):
            return False
        return isinstance(e, ir.Name) or (isinstance(e, ir.Element) and self.is_contiguous(e))


def find_lanes(nested: ir.NestedPattern) -> Lanes | str:
    """Return the lanes of a ThreadVectorRange, or why they cannot be values of one vector type."""
    index, body = nested.function.index, nested.function.body
    types = {
        e.type
        for statement in walk(body)
        for e in expressions(statement)
        if isinstance(e, ir.Element) and any(reads(i, index) for i in e.indices)
    }
    if types != {UINT8}:
        types.discard(UINT8)
    if not types:
        return f"no element has the index `{index}`"
    if len(types) > 1:
        return f"elements of several types: {', '.join(sorted(each.name for each in types))}"
    (type_,) = types
    if not type_.is_float and type_ != UINT8:
        return f"elements of {type_.name}: vectors hold floating-point numbers or bytes"
    return _close(body, Lanes(index, type_, frozenset()))


def is_gather(nested: ir.NestedPattern) -> bool:
    """Return whether the lanes of a ThreadVectorRange load elements whose indices are loaded."""
    index = nested.function.index
    return nested.policy == "ThreadVectorRange" and any(
        isinstance(e, ir.Element)
        and any(
            isinstance(each, ir.Element) and reads(each, index)
            for i in e.indices
            for each in subexpressions(i)
        )
        for statement in walk(nested.function.body)
        for e in expressions(statement)
    )


def _close(body: Sequence[ir.Stmt], lanes: Lanes) -> Lanes:
    """Add the locals that depend on varying ones, to a fixed point."""
    while True:
        varying = _propagate(body, lanes, divergent=False)
        if varying == lanes.varying:
            return lanes
        lanes = Lanes(lanes.index, lanes.type, varying)


def _propagate(body: Sequence[ir.Stmt], lanes: Lanes, divergent: bool) -> frozenset[str]:
    """The varying locals after one traversal; divergent: inside an if whose test varies."""
    varying = set(lanes.varying)
    for s in body:
        match s:
            case ir.Declare() if lanes.varies(s.value):
                varying.add(s.name)
            case ir.Assign(target=ir.Name(name=name)) if divergent or lanes.varies(s.value):
                varying.add(name)
            case ir.If():
                inner = divergent or lanes.varies(s.test)
                varying |= _propagate(s.body, lanes, inner) | _propagate(s.orelse, lanes, inner)
            case ir.For() | ir.While():
                varying |= _propagate(s.body, lanes, divergent)
    return frozenset(varying)
