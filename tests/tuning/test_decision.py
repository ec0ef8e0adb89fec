"""The decision: noise does not win, and a small but certain gain does."""

from __future__ import annotations

import numpy as np
import pytest

from kkspdnn.tuning.decision import CONFIRM_LEVEL, SEARCH_LEVEL, Turns, sign_test


@pytest.mark.parametrize(
    ("wins", "pairs", "probability"),
    [(0, 5, 1.0), (5, 5, 1 / 32), (6, 7, 8 / 128), (16, 20, 6196 / 2**20)],
)
def test_the_sign_test_is_that_of_a_coin(wins: int, pairs: int, probability: float) -> None:
    assert sign_test(wins, pairs) == probability


def test_pairs_are_compared_and_not_medians() -> None:
    """The machine becomes slower in the middle; the candidate is 10 % faster in each pair."""
    best = [1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0]
    turns = Turns(best, [0.9 * each for each in best])
    assert turns.wins == turns.count == 7
    assert turns.ratio == pytest.approx(0.9)
    assert turns.seconds == 1.8
    assert turns.is_faster(CONFIRM_LEVEL)


def test_a_gain_of_two_per_cent_or_less_is_not_enough() -> None:
    assert not Turns([1.0] * 20, [0.985] * 20).is_faster(CONFIRM_LEVEL)
    assert Turns([1.0] * 20, [0.975] * 20).is_faster(CONFIRM_LEVEL)


def test_a_large_gain_in_few_pairs_is_not_enough() -> None:
    assert not Turns([1.0] * 6, [0.5] * 6).is_faster(CONFIRM_LEVEL)


def test_an_outlier_does_not_win() -> None:
    assert not Turns([10.0, *[1.0] * 6], [1.0] * 7).is_faster(SEARCH_LEVEL)


def test_noise_is_confirmed_in_at_most_one_of_a_hundred_cases() -> None:
    """Both have the same distribution of times, with a spread of 20 %."""
    random = np.random.default_rng(0)
    confirmed = sum(
        Turns(list(random.lognormal(0, 0.2, 20)), list(random.lognormal(0, 0.2, 20))).is_faster(
            CONFIRM_LEVEL
        )
        for _ in range(1000)
    )
    assert confirmed <= 10


@pytest.mark.parametrize(
    ("wins", "pairs", "possible"), [(0, 0, True), (0, 1, True), (0, 2, False), (5, 7, False)]
)
def test_a_hopeless_candidate_is_recognised(wins: int, pairs: int, possible: bool) -> None:
    turns = Turns([1.0] * pairs, [0.5] * wins + [2.0] * (pairs - wins))
    assert turns.can_still_win(7, SEARCH_LEVEL) is possible


def test_a_much_slower_candidate_is_given_up_after_one_pair() -> None:
    assert not Turns([1.0], [3.5]).can_still_win(7, SEARCH_LEVEL)
    assert Turns([1.0], [2.5]).can_still_win(7, SEARCH_LEVEL)
