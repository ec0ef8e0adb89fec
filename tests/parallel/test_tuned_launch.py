"""Tuned launch parameters are the same on all ranks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.mark.slow
def test_all_ranks_use_those_that_rank_0_finds(run: Callable[..., tuple[int, str, str]]) -> None:
    script = Path(__file__).with_name("tuned_launch.py")
    code, out, err = run(3, "-W", "error", "-m", "mpi4py", script)
    assert (code, out) == (0, ""), err
