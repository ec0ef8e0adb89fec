"""Cores for the ranks of a node."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kkspdnn.ranks.place import own_cores


@given(st.integers(1, 40), st.integers(1, 40))
def test_ranks_that_may_run_anywhere_part_the_cores(cores: int, ranks: int) -> None:
    allowed = [list(range(cores))] * ranks
    own = [own_cores(allowed, rank) for rank in range(ranks)]
    assert {core for each in own for core in each} == set(range(cores))
    sizes = [len(each) for each in own]
    assert max(sizes) - min(sizes) <= 1
    assert sum(sizes) == max(cores, ranks)


def test_ranks_that_a_launcher_bound_keep_their_cores() -> None:
    allowed = [[0, 1], [2, 3], [2, 3], [7]]
    assert [own_cores(allowed, rank) for rank in range(4)] == [[0, 1], [2], [3], [7]]
