"""Dense rows of a call: which arrays are taken as they are, and the launches that copy them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.device.space import Space
from kkspdnn.pk.launch_sequence import Launch
from kkspdnn.workunits import tiles

_LINE_NEURONS = 16
"""Neurons of a cache line of `unpack_dense`."""


def is_dense(rows: Any, dtype: np.dtype[Any], neurons: int) -> bool:
    """Return whether rows are a C-contiguous NumPy array of this dtype and number of columns, with
    at least one row. Subclasses are not."""
    return (
        type(rows) is np.ndarray
        and rows.dtype == dtype
        and rows.ndim == 2
        and rows.shape[0] > 0
        and rows.shape[1] == neurons
        and rows.flags.c_contiguous
    )


def split_lines(neurons: int, parts: int) -> tuple[int, int]:
    """Return the number of blocks of cache lines, about `parts`, and the lines of a block, for
    `unpack_dense` and `sum_squares`."""
    lines = -(-neurons // _LINE_NEURONS)
    width = -(-lines // min(lines, parts))
    return -(-lines // width), width


def unpack_launch(
    space: Space, y: Any, permutation: NDArray[Any], count: int, blocks: int, width: int
) -> Launch:
    """Return the launch that copies the rows `x`, of number `rows`, into tiles.

    y: the tiles [tile][neuron][lane]
    permutation: index of each neuron in a tile
    count: tiles; blocks, width: see `split_lines`
    """
    arguments = {
        "permutation": permutation,
        "y": y,
        "zero": y.dtype.type(0),
        "neurons": permutation.size,
        "blocks": blocks,
        "width": width,
        "lanes": y.shape[2],
    }
    policy, changing = space.teams(count * blocks), {"x": "x", "rows": "rows"}
    return Launch("unpack_dense", policy, tiles.unpack_dense, arguments, changing)


def pack_launch(
    space: Space, a: Any, permutation: NDArray[Any], count: int, first: int = 0
) -> Launch:
    """Return the launch that copies the rows of tiles into the rows `out`, of number `rows`.

    a: the tiles [tile][neuron][lane]
    permutation: index of each neuron in a tile, relative to `first`
    count: tiles
    """
    arguments = {
        "a": a,
        "permutation": permutation,
        "ids": np.arange(count * a.shape[2]),
        "first": first,
        "neurons": permutation.size,
        "lanes": a.shape[2],
    }
    policy, changing = space.teams(count), {"y": "out", "rows": "rows"}
    return Launch("pack_dense", policy, tiles.pack_dense, arguments, changing)
