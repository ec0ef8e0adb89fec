"""Traversal of the scalar IR: the statements of a body and the expressions in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kkspdnn.pk import ir


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
            operands = (e.target, e.value)
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


def reads(e: ir.Expr, name: str) -> bool:
    """Return whether an expression reads the variable `name`."""
    return any(isinstance(each, ir.Name) and each.name == name for each in subexpressions(e))
