"""Find the innermost loops of a function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.resources.sass import Instruction


@dataclass(frozen=True)
class Loop:
    """The instructions from the target of a backward branch to that branch.

    skips: addresses of branches that skip instructions of the body, except exits of the loop
    """

    body: tuple[Instruction, ...]
    skips: tuple[int, ...]


def innermost_loops(function: Sequence[Instruction]) -> tuple[Loop, ...]:
    """Return the loops that contain no other loop, in order.

    The branch to itself after the end of a kernel is not a loop.
    """
    backward = [
        (instruction.target, instruction.address)
        for instruction in function
        if instruction.target is not None and instruction.target < instruction.address
    ]
    return tuple(
        _loop(function, first, last)
        for first, last in backward
        if not any(
            first <= inner and branch <= last
            for inner, branch in backward
            if (inner, branch) != (first, last)
        )
    )


def _loop(function: Sequence[Instruction], first: int, last: int) -> Loop:
    body = tuple(instruction for instruction in function if first <= instruction.address <= last)
    skips = tuple(
        instruction.address
        for instruction in body[:-1]
        if instruction.target is not None and instruction.address < instruction.target <= last
    )
    return Loop(body, skips)
