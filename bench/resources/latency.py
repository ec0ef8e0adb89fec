"""How far the loads of a loop overlap, for a warp that issues in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from bench.resources.sass import Instruction

_ITERATIONS = 24


@dataclass(frozen=True)
class Overlap:
    """Of one iteration, where a load takes 1 unit of time and every other instruction 0.

    latencies: its time; loads that are issued before the first wait for one of them take 1 together
    most: the largest number of the counted loads that are issued before such a wait
    """

    latencies: float
    most: int


def overlap(body: Sequence[Instruction], counted: frozenset[int]) -> Overlap:
    """How the loads of a loop overlap; counted: positions in the body.

    A warp goes on after a load until an instruction reads or writes its registers. The time is an
    average over iterations, because a software pipeline waits for loads of the iteration before.
    """
    ready: Counter[str] = Counter()
    issued: Counter[int] = Counter()
    now, ends = 0, []
    for _ in range(_ITERATIONS):
        for number, each in enumerate(body):
            now = max([now, *(ready[register] for register in each.reads | each.writes)])
            issued[now] += number in counted
            for register in each.writes:
                ready[register] = now + each.is_load
        ends.append(now)
    half = _ITERATIONS // 2
    time = Fraction(ends[-1] - ends[half - 1], _ITERATIONS - half)
    return Overlap(float(time), max(issued.values()))
