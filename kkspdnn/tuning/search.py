"""The search: vary one launch parameter at a time from the best so far, then confirm the choice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any, Literal, Protocol

import numpy as np

from kkspdnn.choices import SpaceName
from kkspdnn.device.launch_parameters import LaunchParameters
from kkspdnn.tuning.candidates import axes, candidates
from kkspdnn.tuning.decision import CONFIRM_LEVEL, SEARCH_LEVEL, Turns

_DEFAULT_RUNS = 3
_SEARCH_PAIRS, _CONFIRM_PAIRS = 10, 20
_CONFIRM_SHARE, _SLOWER = 0.3, 1.5
"""The time for the confirmation is that of its runs, with this factor for a busy machine, and at
most this fraction of the whole."""

Outcome = Literal[
    "default", "faster", "not faster", "undecided", "confirmed", "not confirmed", "refused"
]
"""undecided: the time ended before the candidate was faster or not."""


class Measurement(Protocol):
    """Runs an engine with launch parameters."""

    def prepare(self, parameters: LaunchParameters) -> str | None:
        """Get ready for runs with these parameters, and run once without timing.

        Returns why the parameters cannot be used, or None.
        """

    def seconds(self, parameters: LaunchParameters) -> float:
        """Return the time of one run with prepared parameters."""

    def release(self, parameters: LaunchParameters) -> None:
        """Free the memory of these parameters."""


@dataclass(frozen=True)
class Trial:
    """The measurement of some launch parameters.

    name: the parameter that differs from the best so far; default; or choice, in the confirmation
    seconds: the median time of a run; None if refused
    ratio: the time over that of the default, from runs in turns
    pairs: the number of pairs of runs; of the default, the number of runs
    default_seconds: in a confirmation, the median time of the default in the same pairs
    reason: why the parameters were refused
    """

    name: str
    parameters: LaunchParameters
    outcome: Outcome
    seconds: float | None = None
    ratio: float | None = None
    pairs: int = 0
    default_seconds: float | None = None
    reason: str = ""


class Search:
    """A search for the fastest launch parameters. Iterate over it, once, for the trials.

    best: the parameters to use, after the last trial: the default unless others were confirmed
    skipped: the number of candidates for which the time was too short
    """

    def __init__(
        self,
        default: LaunchParameters,
        space: SpaceName,
        dtype: np.dtype[Any],
        measurement: Measurement,
        seconds: float,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        """seconds: the time of the search, including preparation

        clock: returns the current time in seconds
        """
        self.default = self.best = default
        self.skipped = 0
        self._best_ratio = 1.0
        self._space: SpaceName = space
        self._dtype = dtype
        self._measurement = measurement
        self._clock = clock
        self._end = self._search_end = clock() + seconds
        self._longest_confirmation = _CONFIRM_SHARE * seconds

    def __iter__(self) -> Iterator[Trial]:
        measurement, default = self._measurement, self.default
        measurement.prepare(default)
        seconds = [measurement.seconds(default) for _ in range(_DEFAULT_RUNS)]
        confirmation = _SLOWER * 2 * _CONFIRM_PAIRS * median(seconds)
        self._search_end = self._end - min(confirmation, self._longest_confirmation)
        yield Trial("default", default, "default", median(seconds), 1.0, _DEFAULT_RUNS)
        for axis in axes(self._space):
            # The candidates of an axis differ from the best before it in one value.
            for candidate in list(candidates(axis, self.best, self._space, self._dtype)):
                if self._clock() > self._search_end:
                    self.skipped += 1
                else:
                    yield self._try(axis.name, candidate)
        if self.best != default:
            yield self._confirm()

    def _try(self, name: str, candidate: LaunchParameters) -> Trial:
        """Measure a candidate beside the best parameters, and make it the best if it is faster."""
        reason = self._measurement.prepare(candidate)
        if reason is not None:
            return Trial(name, candidate, "refused", reason=reason)
        turns = self._turns(self.best, candidate, _SEARCH_PAIRS, SEARCH_LEVEL, self._search_end)
        ratio = self._best_ratio * turns.ratio
        faster = turns.is_faster(SEARCH_LEVEL)
        outcome = self._outcome(turns, _SEARCH_PAIRS, SEARCH_LEVEL, ("faster", "not faster"))
        self._measurement.release(self.best if faster else candidate)
        if faster:
            self.best, self._best_ratio = candidate, ratio
        return Trial(name, candidate, outcome, turns.seconds, ratio, turns.count)

    def _confirm(self) -> Trial:
        """Measure the best parameters beside the default in new runs; keep the default if they are
        not faster."""
        choice = self.best
        self._measurement.prepare(self.default)
        turns = self._turns(self.default, choice, _CONFIRM_PAIRS, CONFIRM_LEVEL, self._end)
        outcomes: tuple[Outcome, Outcome] = ("confirmed", "not confirmed")
        outcome = self._outcome(turns, _CONFIRM_PAIRS, CONFIRM_LEVEL, outcomes)
        self.best = choice if outcome == "confirmed" else self.default
        return Trial(
            "choice",
            choice,
            outcome,
            turns.seconds,
            turns.ratio,
            turns.count,
            median(turns.best),
        )

    def _outcome(
        self, turns: Turns, pairs: int, level: float, outcomes: tuple[Outcome, Outcome]
    ) -> Outcome:
        """Return the first of two outcomes if the candidate is faster at this level, the second
        one if it is not, or undecided if more of the `pairs` could tell."""
        if turns.is_faster(level):
            return outcomes[0]
        if turns.count < pairs and turns.can_still_win(pairs, level):
            self.skipped += 1
            return "undecided"
        return outcomes[1]

    def _turns(
        self,
        best: LaunchParameters,
        candidate: LaunchParameters,
        pairs: int,
        level: float,
        end: float,
    ) -> Turns:
        """Return up to this number of pairs of runs, at least one; the first one of a pair
        alternates.

        Stops at the time `end`, and when the candidate can no longer be faster at this level.
        """
        turns = Turns([], [])
        for number in range(pairs):
            begun = self._clock()
            order = (best, candidate) if number % 2 == 0 else (candidate, best)
            seconds = {each: self._measurement.seconds(each) for each in order}
            turns = Turns([*turns.best, seconds[best]], [*turns.candidate, seconds[candidate]])
            now = self._clock()
            if now + (now - begun) > end or not turns.can_still_win(pairs, level):
                break
        return turns
