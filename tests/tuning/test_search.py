"""The search on synthetic times: it finds the fastest parameters, and nothing where is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from kkspdnn.device.launch_parameters import LaunchParameters
from kkspdnn.tuning.search import Search, Trial

DEFAULT = LaunchParameters.default("openmp")
FLOAT32 = np.dtype(np.float32)


class Synthetic:
    """A machine whose time for a run is a function of the parameters, with noise.

    spread: standard deviation of the logarithm of the noise
    now: the time that all runs and preparations took
    """

    def __init__(
        self, time: Callable[[LaunchParameters], float], spread: float = 0.0, seed: int = 0
    ) -> None:
        self.time = time
        self.now = 0.0
        self.prepared: set[LaunchParameters] = set()
        self.most = 0
        self._spread = spread
        self._random = np.random.default_rng(seed)

    def prepare(self, parameters: LaunchParameters) -> str | None:
        if parameters.tile_bytes == 512:
            return "the memory is too small"
        self.now += 0.1
        self.prepared.add(parameters)
        self.most = max(self.most, len(self.prepared))
        return None

    def seconds(self, parameters: LaunchParameters) -> float:
        assert parameters in self.prepared
        seconds = self.time(parameters) * float(self._random.lognormal(0, self._spread))
        self.now += seconds
        return seconds

    def release(self, parameters: LaunchParameters) -> None:
        self.prepared.remove(parameters)


def search(machine: Synthetic, seconds: float = 45.0) -> tuple[Search, list[Trial]]:
    found = Search(DEFAULT, "openmp", FLOAT32, machine, seconds, lambda: machine.now)
    return found, list(found)


def best_at(parameters: LaunchParameters) -> float:
    """Half as long with a large chunk, and a quarter less with tiles of 128 bytes."""
    return (
        0.1
        * (0.5 if parameters.chunk_bytes == 40 << 20 else 1)
        * (0.75 if parameters.tile_bytes == 128 else 1)
    )


def test_the_fastest_value_of_each_parameter_is_found() -> None:
    machine = Synthetic(best_at, spread=0.03)
    found, trials = search(machine)
    assert found.best == replace(DEFAULT, chunk_bytes=40 << 20, tile_bytes=128)
    assert found.skipped == 0
    assert trials[0].outcome == "default"
    confirmed = trials[-1]
    assert (confirmed.name, confirmed.outcome) == ("choice", "confirmed")
    assert confirmed.parameters == found.best
    assert confirmed.ratio is not None
    assert abs(confirmed.ratio - 0.375) < 0.04
    assert confirmed.default_seconds is not None
    assert abs(confirmed.default_seconds - 0.1) < 0.01
    assert machine.most == 2, "more than the best and one candidate were in memory"


def test_refused_parameters_are_reported_and_the_search_goes_on() -> None:
    _, trials = search(Synthetic(best_at))
    (refused,) = (trial for trial in trials if trial.outcome == "refused")
    assert (refused.parameters.tile_bytes, refused.reason) == (512, "the memory is too small")
    assert refused.seconds is refused.ratio is None


def test_noise_keeps_the_default() -> None:
    """Of 50 noisy machines on which all parameters are equally fast, hardly any finds another."""
    found = [search(Synthetic(lambda _: 0.1, 0.2, seed))[0].best for seed in range(50)]
    assert sum(best != DEFAULT for best in found) <= 1


def test_equal_times_need_no_confirmation() -> None:
    found, trials = search(Synthetic(lambda _: 0.1))
    assert found.best == DEFAULT
    assert {trial.outcome for trial in trials} == {"default", "not faster", "refused"}
    assert trials[-1].name != "choice"


def test_a_gain_that_vanishes_is_not_confirmed() -> None:
    """As if another program had ended between the search and the confirmation."""
    machine = Synthetic(best_at)
    found = Search(DEFAULT, "openmp", FLOAT32, machine, 45.0, lambda: machine.now)
    outcomes = []
    for trial in found:
        outcomes.append(trial.outcome)
        if trial.name == "layers_a_launch" and trial.parameters.layers_a_launch == 8:
            machine.time = lambda _: 0.1
    assert outcomes[-1] == "not confirmed"
    assert found.best == DEFAULT


def test_the_time_is_kept() -> None:
    for seconds in (5.0, 20.0, 60.0):
        machine = Synthetic(lambda _: 0.5)
        found, _ = search(machine, seconds)
        assert machine.now < seconds + 1
        assert (found.skipped > 0) == (seconds < 60)


def test_a_confirmation_without_time_keeps_the_default() -> None:
    found, trials = search(Synthetic(lambda parameters: 10 * best_at(parameters)), 42.0)
    assert "faster" in {trial.outcome for trial in trials}
    assert (trials[-1].name, trials[-1].outcome) == ("choice", "undecided")
    assert trials[-1].pairs < 20
    assert found.best == DEFAULT
    assert found.skipped > 0
