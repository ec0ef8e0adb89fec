"""Loop-invariant code motion of addresses.

In a loop that changes only `i`, `a[tile][source + i][v]` is `i` strides past `a[tile][source][v]`,
whose address is loop-invariant: an iteration computes one multiplication and one addition.
"""

from __future__ import annotations

from dataclasses import replace

from kkspdnn.pk import ir
from kkspdnn.pk.passes.walk import nodes, walk
from kkspdnn.pk.types import INT32

_ZERO = ir.Constant(0, INT32)


def modified_in(loop: ir.For | ir.While) -> frozenset[str]:
    """Return the names of the variables and arrays that an iteration of a loop may modify."""
    modified = {loop.variable} if isinstance(loop, ir.For) else set[str]()
    for s in walk(loop.body):
        match s:
            case ir.Declare(name=name) | ir.DeclareArray(name=name) | ir.For(variable=name):
                modified.add(name)
            case ir.Assign(target=ir.Name(name=name) | ir.Element(array=name)):
                modified.add(name)
    return frozenset(modified)


def is_invariant(e: ir.Expr | ir.VectorExpr, modified: frozenset[str]) -> bool:
    """Return whether an expression reads none of the `modified` variables and arrays."""
    return not any(
        (isinstance(each, ir.Name) and each.name in modified)
        or (isinstance(each, ir.Element) and each.array in modified)
        for each in nodes(e)
    )


def hoist_address(e: ir.Element, modified: frozenset[str]) -> ir.Element | ir.StridedElement:
    """Split off the loop-invariant base of an element if exactly one index before the last varies.

    modified: the variables that the innermost loop around the element modifies
    """
    varying = [d for d, index in enumerate(e.indices[:-1]) if not is_invariant(index, modified)]
    if len(varying) != 1:
        return e
    (dimension,) = varying
    invariant, count = _split_sum(e.indices[dimension], modified)
    indices = (*e.indices[:dimension], invariant, *e.indices[dimension + 1 :])
    return ir.StridedElement(replace(e, indices=indices), dimension, count)


def _split_sum(index: ir.Expr, modified: frozenset[str]) -> tuple[ir.Expr, ir.Expr]:
    """The loop-invariant term of a sum, 0 if it has none, and the rest."""
    if isinstance(index, ir.Binary) and index.op == "+" and index.type.is_signed:
        if is_invariant(index.left, modified):
            return index.left, index.right
        if is_invariant(index.right, modified):
            return index.right, index.left
    return _ZERO, index
