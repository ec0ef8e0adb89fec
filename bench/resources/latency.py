"""Overlap of the loads of a loop, for a warp that issues instructions in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from bench.resources.sass import Instruction

_ITERATIONS = 24


@dataclass(frozen=True)
class Overlap:
    """The time of one iteration if a load takes 1 unit and any other instruction 0.

    latencies: the time; loads overlap if they are issued before the first wait for one of them, and
    take 1 unit in total
    max_in_flight: maximum number of counted loads that are issued before such a wait
    """

    latencies: float
    max_in_flight: int


def overlap(body: Sequence[Instruction], counted: frozenset[int]) -> Overlap:
    """Return the overlap of the loads of a loop; counted: positions of loads in the body.

    A warp continues after a load until an instruction reads or writes its registers. The time is an
    average over iterations, because a software pipeline waits for loads of the previous iteration.
    """
    ready: Counter[str] = Counter()
    issued: Counter[int] = Counter()
    now, ends = 0, []
    for _ in range(_ITERATIONS):
        for number, instruction in enumerate(body):
            registers = instruction.reads | instruction.writes
            now = max([now, *(ready[register] for register in registers)])
            issued[now] += number in counted
            for register in instruction.writes:
                ready[register] = now + instruction.is_load
        ends.append(now)
    half = _ITERATIONS // 2
    time = Fraction(ends[-1] - ends[half - 1], _ITERATIONS - half)
    return Overlap(float(time), max(issued.values()))
