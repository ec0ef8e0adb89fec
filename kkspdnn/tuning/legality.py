"""The launch parameters that the engines accept."""

from __future__ import annotations

from typing import Any

import numpy as np

from kkspdnn.choices import SpaceName
from kkspdnn.device.launch_parameters import MAX_LAYERS_A_LAUNCH, WARP, LaunchParameters
from kkspdnn.engines.layer_store import GRANULE
from kkspdnn.pk.codegen.emit import ARRAYS_BLOCK

_MIN_TILE_BYTES = 64
"""A narrow tile has a quarter of it, one SIMD register without AVX."""

_MIN_CHUNK_BYTES, _MAX_CHUNK_BYTES = 1 << 20, 1 << 30


def find_illegal(
    parameters: LaunchParameters, space: SpaceName, dtype: np.dtype[Any]
) -> str | None:
    """Return what is wrong with the parameters of a space, such as `tile_bytes 100`.

    None: a run accepts them.
    """
    legal = {"layers_a_launch": 1 <= parameters.layers_a_launch <= MAX_LAYERS_A_LAUNCH}
    legal |= _gpu(parameters) if space == "cuda" else _cpu(parameters, dtype)
    wrong = [name for name, accepted in legal.items() if not accepted]
    return f"{wrong[0]} {getattr(parameters, wrong[0])}" if wrong else None


def _cpu(parameters: LaunchParameters, dtype: np.dtype[Any]) -> dict[str, bool]:
    """Return for each field whether it has a legal value on a CPU."""
    # At least `GRANULE` rows are in memory at a time.
    largest = GRANULE * dtype.itemsize
    tile = parameters.tile_bytes
    return {
        "tile_bytes": _is_power_of_two(tile) and _MIN_TILE_BYTES <= tile <= largest,
        "chunk_bytes": _MIN_CHUNK_BYTES <= parameters.chunk_bytes <= _MAX_CHUNK_BYTES,
        "vector_length": parameters.vector_length == 1,
        "lanes_per_thread": parameters.lanes_per_thread == 0,
        "team_size": parameters.team_size == 1,
    }


def _gpu(parameters: LaunchParameters) -> dict[str, bool]:
    """Return for each field whether it has a legal value on a GPU."""
    vector = parameters.vector_length
    lanes = parameters.lanes_per_thread
    return {
        "tile_bytes": parameters.tile_bytes == 0,
        "chunk_bytes": parameters.chunk_bytes == 0,
        "vector_length": _is_power_of_two(vector) and vector <= WARP,
        "lanes_per_thread": _is_power_of_two(lanes) and lanes <= 8,
        "team_size": parameters.team_size > 0 and WARP <= parameters.team_threads <= ARRAYS_BLOCK,
    }


def _is_power_of_two(number: int) -> bool:
    return number > 0 and number & (number - 1) == 0
