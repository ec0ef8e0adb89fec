"""Launch parameters that a run accepts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kkspdnn.choices import SPACES, SpaceName
from kkspdnn.device.launch_parameters import LaunchParameters
from kkspdnn.tuning.legality import find_illegal

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64])
@pytest.mark.parametrize("space", SPACES)
def test_the_default_is_legal(space: SpaceName, dtype: np.dtype[Any]) -> None:
    assert find_illegal(LaunchParameters.default(space), space, dtype) is None


@pytest.mark.parametrize(
    ("space", "changes", "problem"),
    [
        ("openmp", {"tile_bytes": 0}, "tile_bytes 0"),
        ("openmp", {"tile_bytes": 32}, "tile_bytes 32"),
        ("openmp", {"tile_bytes": 192}, "tile_bytes 192"),
        ("openmp", {"tile_bytes": 1024}, "tile_bytes 1024"),
        ("serial", {"chunk_bytes": 0}, "chunk_bytes 0"),
        ("serial", {"chunk_bytes": 1 << 31}, "chunk_bytes 2147483648"),
        ("openmp", {"team_size": 2}, "team_size 2"),
        ("openmp", {"vector_length": 32}, "vector_length 32"),
        ("openmp", {"lanes_per_thread": 4}, "lanes_per_thread 4"),
        ("openmp", {"layers_a_launch": 0}, "layers_a_launch 0"),
        ("cuda", {"layers_a_launch": 17}, "layers_a_launch 17"),
        ("cuda", {"tile_bytes": 256}, "tile_bytes 256"),
        ("cuda", {"chunk_bytes": 1 << 20}, "chunk_bytes 1048576"),
        ("cuda", {"vector_length": 64}, "vector_length 64"),
        ("cuda", {"vector_length": -1, "team_size": -64}, "vector_length -1"),
        ("cuda", {"lanes_per_thread": 3}, "lanes_per_thread 3"),
        ("cuda", {"lanes_per_thread": 16}, "lanes_per_thread 16"),
        ("cuda", {"team_size": 1000}, "team_size 1000"),
        ("cuda", {"vector_length": 1, "team_size": 16}, "team_size 16"),
    ],
)
def test_illegal_values_are_named(space: SpaceName, changes: dict[str, int], problem: str) -> None:
    parameters = replace(LaunchParameters.default(space), **changes)  # type: ignore[arg-type]
    assert find_illegal(parameters, space, FLOAT32) == problem


def test_a_tile_has_at_most_the_rows_that_are_in_memory_at_a_time() -> None:
    parameters = replace(LaunchParameters.default("openmp"), tile_bytes=1024)
    assert find_illegal(parameters, "openmp", FLOAT32) == "tile_bytes 1024"
    assert find_illegal(parameters, "openmp", FLOAT64) is None
