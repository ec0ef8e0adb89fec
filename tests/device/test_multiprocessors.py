"""Teams that run concurrently on a GPU."""

from __future__ import annotations

import pytest

from kkspdnn.device.multiprocessors import Multiprocessors

HOPPER = Multiprocessors(132, 2048, 65_536)


@pytest.mark.parametrize(
    ("threads", "registers", "teams"),
    [
        (512, 128, 1),
        (512, 81, 1),
        (512, 80, 1),
        (512, 64, 2),
        (512, 32, 4),
        (512, 16, 4),
        (256, 128, 2),
        (256, 80, 3),
        (256, 64, 4),
        (1024, 64, 1),
        (32, 32, 32),
        (20, 255, 8),
        (512, None, 1),
    ],
)
def test_teams_of_a_multiprocessor(threads: int, registers: int | None, teams: int) -> None:
    """As in the occupancy calculator of the CUDA toolkit."""
    assert HOPPER.concurrent_teams(threads, registers) == 132 * teams


def test_at_least_one_team() -> None:
    assert Multiprocessors(1, 2048, 65_536).concurrent_teams(1024, 255) == 1
