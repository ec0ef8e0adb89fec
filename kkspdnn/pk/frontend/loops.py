"""Checks of `for j in range(…)`: its form, its direction and that its bounds stay the same."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from kkspdnn.pk.frontend.diagnostics import SourceFile


def range_arguments(file: SourceFile, loop: ast.For) -> list[ast.expr]:
    """Return the one to three arguments of the range of a loop."""
    call = loop.iter
    if not (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "range"
        and not call.keywords
        and 1 <= len(call.args) <= 3
    ):
        file.refuse(call, "a for loop needs range(…)", "write for j in range(a, b)")
    return call.args


def is_descending(file: SourceFile, step: ast.expr) -> bool:
    """Return the direction of a range, which the compiler must know: the step is a literal."""
    match step:
        case ast.Constant(value=int(size)) if size != 0:
            return False
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(size))) if size != 0:
            return True
    file.refuse(step, "the step must be a literal other than 0", "write 2 or -1")


def check_bounds_invariant(
    file: SourceFile, bounds: Sequence[ast.expr], body: Sequence[ast.stmt]
) -> None:
    """Refuse a loop that assigns to a name in its bounds: PyKokkos evaluates the end of a range in
    each iteration, Python once."""
    names = {name for bound in bounds for name in _names_read(bound)}
    for node in (node for statement in body for node in ast.walk(statement)):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
            targets = [node.target]
        for target in targets:
            name = _assigned_name(target)
            if name in names:
                file.refuse(
                    target,
                    f"`{name}` is a bound of this loop and is assigned in it",
                    "copy it into another local before the loop",
                )


def _assigned_name(target: ast.expr) -> str | None:
    """`x` of `x`, `x[i]` and `x[i][j]`."""
    while isinstance(target, ast.Subscript):
        target = target.value
    return target.id if isinstance(target, ast.Name) else None


def _names_read(expression: ast.expr) -> set[str]:
    """The names whose values an expression reads; `x.extent(0)` reads no value of `x`."""
    if isinstance(expression, ast.Name):
        return {expression.id}
    if isinstance(expression, ast.Call) and isinstance(expression.func, ast.Attribute):
        operands = list(expression.args)
    else:
        operands = [e for e in ast.iter_child_nodes(expression) if isinstance(e, ast.expr)]
    return {name for operand in operands for name in _names_read(operand)}
