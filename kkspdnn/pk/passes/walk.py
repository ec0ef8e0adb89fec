"""Traversal of the IR: the statements of a body and the expressions in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from kkspdnn.pk import ir
from kkspdnn.pk.types import Scalar


def walk(body: Sequence[ir.Stmt]) -> Iterator[ir.Stmt]:
    """Yield every statement of a body and of its loops and branches."""
    for statement in body:
        yield statement
        match statement:
            case ir.For() | ir.While():
                yield from walk(statement.body)
            case ir.If():
                yield from walk(statement.body)
                yield from walk(statement.orelse)


def subexpressions(e: ir.Expr) -> Iterator[ir.Expr]:
    """Yield an expression and all its operands, outermost first."""
    yield e
    match e:
        case ir.Element():
            operands = e.indices
        case ir.Unary() | ir.Cast():
            operands = (e.operand,)
        case ir.Binary():
            operands = (e.left, e.right)
        case ir.Call():
            operands = e.arguments
        case ir.Atomic():
            operands = (e.target, *e.operands)
        case _:
            operands = ()
    for operand in operands:
        yield from subexpressions(operand)


def expressions(statement: ir.Stmt) -> Iterator[ir.Expr]:
    """Yield the expressions of a statement itself, not of its body, with all their operands.

    Only those of the statements that may run on vectors: declarations of scalars, assignments,
    tests and ranges of loops.
    """
    roots: tuple[ir.Expr, ...] = ()
    match statement:
        case ir.Declare():
            roots = (statement.value,)
        case ir.Assign():
            roots = (statement.target, statement.value)
        case ir.If() | ir.While():
            roots = (statement.test,)
        case ir.For():
            roots = (statement.begin, statement.end, statement.step)
    for root in roots:
        yield from subexpressions(root)


def reads(node: Any, name: str) -> bool:
    """Return whether a node of the IR, or one in it, reads the variable `name`."""
    return any(isinstance(each, ir.Name) and each.name == name for each in nodes(node))


def nodes(node: Any) -> Iterator[Any]:
    """Yield a node of the IR, scalar or vector, and all nodes in it, outermost first."""
    if isinstance(node, tuple):
        for each in node:
            yield from nodes(each)
    elif is_dataclass(node) and not isinstance(node, Scalar):
        yield node
        for each in fields(node):
            yield from nodes(getattr(node, each.name))


def rewrite(node: Any, change: Callable[[Any], Any]) -> Any:
    """Return a node of the IR with some of the nodes in it replaced.

    change: returns the replacement of a node, or None to look into it
    """
    if isinstance(node, tuple):
        return tuple(rewrite(each, change) for each in node)
    if not is_dataclass(node) or isinstance(node, Scalar | type):
        return node
    new = change(node)
    if new is not None:
        return new
    names = [each.name for each in fields(node)]
    return replace(node, **{name: rewrite(getattr(node, name), change) for name in names})
