"""Arrays of gigabytes of addresses, whose pages get memory when they are written to."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
import pytest

FAR = 2**32 + 17
"""Index of the first edge or entry."""


def mapped(shape: int | tuple[int, ...], dtype: Any) -> Any:
    """Return zeros whose pages get memory when they are written to."""
    kind, count = np.dtype(dtype), int(np.prod(shape, dtype=np.int64))
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000)
    try:
        pages = mmap.mmap(-1, max(1, count * kind.itemsize), flags=flags)
    except OSError as error:
        pytest.skip(f"no {count * kind.itemsize >> 30} GiB of addresses here: {error}")
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        pages.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(pages, kind, count).reshape(shape)
