"""The shares of the teams in the work items of a product."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kkspdnn.engines.spgemm.column_product import share_work


@given(
    work=st.lists(st.one_of(st.just(0), st.integers(0, 10**12)), min_size=1, max_size=60),
    teams=st.integers(1, 70),
)
def test_shares_are_consecutive_and_balanced(work: list[int], teams: int) -> None:
    """A team has at most its part of the work, and half an item more at either end."""
    estimate = np.array(work)
    shares = share_work(estimate, teams)
    assert shares.dtype == np.int32
    assert shares.size == teams + 1
    assert shares[0] == 0
    assert shares[-1] == estimate.size
    assert (np.diff(shares) >= 0).all()
    costs = estimate + estimate.mean() / 16 + 1
    most = costs.sum() / teams + costs.max()
    own = [costs[a:b].sum() for a, b in zip(shares, shares[1:], strict=False)]
    assert max(own) <= most * (1 + 1e-9)


@pytest.mark.parametrize(
    ("work", "teams", "expected"),
    [
        ([0] * 8, 2, [0, 4, 8]),
        ([5] * 8, 4, [0, 2, 4, 6, 8]),
        # Each item also has a cost of its own, here 1.125.
        ([9, 1, 1, 1, 1, 1, 1, 1], 2, [0, 2, 8]),
        ([100, 0, 0, 0], 2, [0, 1, 4]),
        ([1, 2], 1, [0, 2]),
        ([7], 3, [0, 0, 1, 1]),
    ],
)
def test_shares(work: list[int], teams: int, expected: list[int]) -> None:
    assert share_work(np.array(work), teams).tolist() == expected
