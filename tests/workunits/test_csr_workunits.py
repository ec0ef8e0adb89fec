"""Offsets of CSR rows, and CSR from packed bits, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from exact_numbers import SEEDS, offsets
from hypothesis import given, settings
from hypothesis import strategies as st

from kkspdnn.device.space import Space
from kkspdnn.workunits import csr


@pytest.mark.parametrize("sizes", [[], [0], [3], [0, 2, 0, 5], list(range(1000))])
def test_offsets_are_a_running_sum(space: Space, sizes: list[int]) -> None:
    start, total = offsets(space, np.array(sizes, np.int64))
    assert start.tolist() == [0, *np.cumsum(sizes, dtype=np.int64).tolist()]
    assert total == sum(sizes)


def test_offsets_pass_32_bits(space: Space) -> None:
    start, total = offsets(space, np.full(5, 2**31, np.int64))
    assert start.tolist() == [k * 2**31 for k in range(6)]
    assert total == 5 * 2**31


def check_bits(space: Space, dtype: np.dtype[Any], bits: Any) -> None:
    rows, row_bytes = bits.shape
    pixels = np.unpackbits(bits, axis=1)
    common = {"bits": bits, "row_bytes": row_bytes}
    size = np.full(rows, -1, np.int64)
    space.pk.parallel_for("count", space.range(rows), csr.count_bits, size=size, **common)
    assert size.tolist() == pixels.sum(axis=1).tolist()
    start, total = offsets(space, size)
    index, value = np.full(total, 2**32 - 1, np.uint32), np.full(total, np.nan, dtype)
    space.pk.parallel_for(
        "to_csr",
        space.range(rows),
        csr.bits_to_csr,
        start=start,
        index=index,
        value=value,
        one=dtype.type(1),
        **common,
    )
    assert index.tolist() == np.nonzero(pixels)[1].tolist()
    assert (value == 1).all()


@settings(max_examples=30)
@given(seed=SEEDS, rows=st.integers(0, 20), row_bytes=st.integers(1, 20), ones=st.floats(0, 1))
def test_bits_to_csr(
    space: Space, dtype: np.dtype[Any], seed: int, rows: int, row_bytes: int, ones: float
) -> None:
    pixels = np.random.default_rng(seed).random((rows, 8 * row_bytes)) < ones
    check_bits(space, dtype, np.packbits(pixels, axis=1))


def test_every_byte(space: Space, dtype: np.dtype[Any]) -> None:
    check_bits(space, dtype, np.arange(256, dtype=np.uint8).reshape(256, 1))
    check_bits(space, dtype, np.arange(256, dtype=np.uint8).reshape(1, 256))
