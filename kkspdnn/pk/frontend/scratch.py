"""Scratch views: `s: pk.ScratchView1D[pk.float] = pk.ScratchView1D(m.team_scratch(0), n)`."""

from __future__ import annotations

from typing import Final

from kkspdnn.pk import ir

MEMORIES: Final = ("team_scratch", "thread_scratch")
"""The methods of a team handle that return scratch memory."""

SCRATCH_HINT: Final = "write s: pk.ScratchView1D[pk.float] = pk.ScratchView1D(m.team_scratch(0), n)"
"""What to write for a scratch view."""


def is_known_at_launch(extent: ir.Expr, arguments: frozenset[str]) -> bool:
    """Return whether an extent is made of literals, arguments and extents of views."""
    match extent:
        case ir.Constant():
            return True
        case ir.Name(name=name) | ir.Extent(view=name):
            return name in arguments
        case ir.Binary(left=left, right=right):
            return is_known_at_launch(left, arguments) and is_known_at_launch(right, arguments)
        case ir.Cast(operand=operand) | ir.Unary(operand=operand):
            return is_known_at_launch(operand, arguments)
    return False
