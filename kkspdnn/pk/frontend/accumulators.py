"""What a reduction or scan may do with its accumulator: add to it.

Each thread has an accumulator of its own, and Kokkos adds them up. Another operation than a sum, or
reading the part of the sum, would have another result for each number of threads.
"""

from __future__ import annotations

import ast


def adds_to(value: ast.expr, accumulator: str) -> bool:
    """Return whether `accumulator = value` adds to it: a chain of + and - that begins with it, or
    has it as another term."""
    uses = sum(isinstance(n, ast.Name) and n.id == accumulator for n in ast.walk(value))
    return uses == 1 and _is_term(value, accumulator)


def _is_term(value: ast.expr, name: str) -> bool:
    match value:
        case ast.Name():
            return value.id == name
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return _is_term(left, name) or _is_term(right, name)
        case ast.BinOp(op=ast.Sub(), left=left):
            return _is_term(left, name)
    return False
