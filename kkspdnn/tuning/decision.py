"""The decision whether a candidate is faster: paired runs in turns, and a sign test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import median

MAX_RATIO = 0.98
"""A candidate must take at most this fraction of the time."""

HOPELESS_RATIO = 3.0
"""A candidate that takes this many times as long is given up."""

SEARCH_LEVEL = 0.07
"""The significance level of the search, which may follow a wrong lead: the choice is confirmed."""

CONFIRM_LEVEL = 0.01
"""The significance level at which the choice must beat the default in runs of its own."""


@dataclass(frozen=True)
class Turns:
    """The seconds of runs in turns: those of the best parameters so far, and of a candidate."""

    best: Sequence[float]
    candidate: Sequence[float]

    @property
    def count(self) -> int:
        """The number of pairs."""
        return len(self.candidate)

    @property
    def ratio(self) -> float:
        """The median over the pairs of the candidate's time over that of the best."""
        return median(own / other for own, other in zip(self.candidate, self.best, strict=True))

    @property
    def wins(self) -> int:
        """The number of pairs in which the candidate was faster."""
        return sum(own < other for own, other in zip(self.candidate, self.best, strict=True))

    @property
    def seconds(self) -> float:
        """The median time of the candidate."""
        return median(self.candidate)

    def is_faster(self, level: float) -> bool:
        """Whether the candidate is faster by more than 2 % and by more than the noise.

        level: the probability, at most, of this many wins or more if both are equally fast
        """
        return self.ratio < MAX_RATIO and sign_test(self.wins, self.count) <= level

    def can_still_win(self, total: int, level: float) -> bool:
        """Whether `total` pairs can pass the sign test if the candidate wins all further ones.

        False too if it takes several times as long as the best: more pairs would waste time.
        """
        if self.count and self.ratio > HOPELESS_RATIO:
            return False
        return sign_test(self.wins + total - self.count, total) <= level


def sign_test(wins: int, pairs: int) -> float:
    """Return the probability of at least `wins` heads in `pairs` tosses of a coin."""
    return float(sum(comb(pairs, each) for each in range(wins, pairs + 1)) / 2**pairs)
