"""Writes IDX files, as those of MNIST."""

from __future__ import annotations

import struct

import numpy as np


def idx(raw: np.ndarray, *, magic: int = 0x803, count: int | None = None) -> bytes:
    """The bytes of an IDX file of images, uint8[images, height, width].

    count: the number of images in the header; None: that of `raw`
    """
    head = (magic, raw.shape[0] if count is None else count, *raw.shape[1:])
    return struct.pack(">IIII", *head) + raw.tobytes()
