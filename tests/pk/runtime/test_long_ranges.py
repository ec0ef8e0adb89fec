"""Ranges up to the maximum 32-bit index, and views with more than 2^32 elements."""

from __future__ import annotations

import mmap
from typing import Any

import kernels
import numpy as np
import pykokkos as pk
import pytest

from kkspdnn.pk.compiler import generate
from kkspdnn.pk.policy import ExecutionSpace

LAST = 2**31 - 1


@pytest.mark.slow
@pytest.mark.parametrize("end", [2**30 + 1, 2**31 - 2**20, LAST])
def test_every_work_item_is_counted(space: ExecutionSpace, end: int) -> None:
    """Kokkos rounds the blocks of a scan up, and the last one would end past 2^31."""
    policy = pk.RangePolicy(space, 0, end)
    assert pk.parallel_reduce("count", policy, kernels.count_long, step=1) == end
    total = np.zeros(1, np.int64)
    counted = pk.parallel_scan("scan", policy, kernels.running_count, at=end - 1, out=total)
    assert (counted, int(total[0])) == (end, end)


@pytest.mark.slow
def test_the_last_work_items_of_a_loop(space: ExecutionSpace) -> None:
    if space is ExecutionSpace.Cuda:
        pytest.skip("an array of 2 GiB would be copied there and back")
    flags = np.zeros(LAST, np.uint8)
    pk.parallel_for("mark", pk.RangePolicy(space, 0, LAST), kernels.mark, flags=flags)
    assert flags.min() == flags.max() == 1


@pytest.mark.parametrize("space", ExecutionSpace)
def test_scans_and_reductions_on_gpus_use_64_bit_indices(space: ExecutionSpace) -> None:
    gpu = space is ExecutionSpace.Cuda
    for workunit, wide in (
        (kernels.running_count, True),
        (kernels.count_long, gpu),
        (kernels.mark, False),
    ):
        text = generate(workunit, space).text
        assert ("IndexType<int64_t>" in text) == wide
        assert ("IndexType<int32_t>" in text) != wide


@pytest.mark.parametrize("shape", [(2**32 + 9,), (5, 2**30), (3, 2**20 + 1, 2**11)])
def test_views_with_more_than_2_32_elements(space: ExecutionSpace, shape: tuple[int, ...]) -> None:
    """The last element is written, with 32-bit indices if they suffice."""
    if space is ExecutionSpace.Cuda:
        pytest.skip("arrays of gigabytes would be copied there and back")
    size = int(np.prod(shape, dtype=np.int64))
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000)
    view: Any = np.frombuffer(mmap.mmap(-1, size, flags=flags), np.uint8).reshape(shape)
    last = tuple(each - 1 for each in shape)
    name = f"touch_{len(shape)}"
    indices = dict(zip("ijk", last, strict=False))
    pk.parallel_for(name, pk.RangePolicy(space, 0, 1), getattr(kernels, name), view=view, **indices)
    assert view[last] == 7
    begin = view.reshape(-1)[: 2**20]
    assert not begin.any()
