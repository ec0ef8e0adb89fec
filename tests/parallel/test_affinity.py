"""The CPU affinity of the ranks of a node."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kkspdnn.parallel.affinity import bind_rank, cores_of_rank
from kkspdnn.parallel.gpus import GpuAssignment


@given(st.integers(1, 40), st.integers(1, 40))
def test_unbound_ranks_divide_the_cores_evenly(cores: int, ranks: int) -> None:
    allowed = [list(range(cores))] * ranks
    own = [cores_of_rank(allowed, rank) for rank in range(ranks)]
    assert {core for each in own for core in each} == set(range(cores))
    sizes = [len(each) for each in own]
    assert max(sizes) - min(sizes) <= 1
    assert sum(sizes) == max(cores, ranks)


def test_ranks_bound_by_a_launcher_keep_their_cores() -> None:
    allowed = [[0, 1], [2, 3], [2, 3], [7]]
    assert [cores_of_rank(allowed, rank) for rank in range(4)] == [[0, 1], [2], [3], [7]]


def rank_of(number: int, size: int) -> Any:
    """A rank among `size` ranks of a node that may all run on the same cores."""
    return SimpleNamespace(
        rank=number,
        size=size,
        local_rank=number,
        local_size=size,
        all_gather=lambda mine: [mine] * size,
        all_gather_node=lambda mine: [mine] * size,
    )


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> list[set[int]]:
    """Let the process run on four cores; returns the affinities that are set."""
    restricted: list[set[int]] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, cores: restricted.append(set(cores)))
    for name in ("OMP_NUM_THREADS", "OMP_PLACES", "KOKKOS_DEVICE_ID"):
        monkeypatch.delenv(name, raising=False)
    return restricted


def test_a_rank_is_bound_to_its_cores_with_a_thread_each(four_cores: list[set[int]]) -> None:
    with bind_rank(rank_of(1, 2), "openmp", None, None) as gpu:
        assert os.environ["OMP_NUM_THREADS"] == "2"
        assert gpu == GpuAssignment()
        assert len(four_cores[0]) == 2
    assert "OMP_NUM_THREADS" not in os.environ
    assert four_cores[1] == {0, 1, 2, 3}


@pytest.mark.parametrize(("quota", "threads"), [(1, 1), (2, 1), (3, 1), (7, 2)])
def test_ranks_share_a_quota(
    four_cores: list[set[int]], monkeypatch: pytest.MonkeyPatch, quota: int, threads: int
) -> None:
    monkeypatch.setattr("kkspdnn.parallel.affinity.cpu_quota", lambda: quota)
    with bind_rank(rank_of(1, 2), "openmp", None, None):
        assert os.environ["OMP_NUM_THREADS"] == str(threads)


@pytest.mark.parametrize(
    ("threads", "variables", "restricted"),
    [
        (1, {}, True),
        (4, {}, False),
        (None, {"OMP_NUM_THREADS": "2"}, True),
        (None, {"OMP_NUM_THREADS": "3,2"}, False),
        (None, {"OMP_PLACES": "{0},{1}"}, False),
    ],
)
def test_the_settings_of_the_user_take_precedence(
    four_cores: list[set[int]],
    monkeypatch: pytest.MonkeyPatch,
    threads: int | None,
    variables: dict[str, str],
    restricted: bool,
) -> None:
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    before = os.environ.get("OMP_NUM_THREADS")
    with bind_rank(rank_of(0, 2), "openmp", threads, None):
        assert (len(four_cores) == 1) == restricted
        assert os.environ.get("OMP_NUM_THREADS") in (before, None)
    assert os.environ.get("OMP_NUM_THREADS") == before
