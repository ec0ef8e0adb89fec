"""The upper bound that a CPU sets: its clock and the read bandwidth of L1 and L2, measured."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import numpy as np

from bench.ceiling.hand_written import LANES
from bench.ceiling.native import Native
from kkspdnn.device.aligned import aligned_empty

BYTES_PER_EDGE = 4 + 2 / LANES
"""Bytes loaded for one edge of one row if all weights are equal: a float32 activation, and a uint16
index that all rows of a tile share."""

_TRIES = 10
"""Repetitions; the fastest one counts, because disturbances only add time."""


@dataclass(frozen=True)
class ReadBandwidth:
    """The read bandwidth if every thread reads its own array at the same time.

    bytes: size of the array of one thread; bytes_per_second: sum over all threads
    edges_per_second: bytes_per_second over BYTES_PER_EDGE
    loads_per_cycle: vector loads of one thread
    """

    bytes: int
    bytes_per_second: float
    loads_per_cycle: float
    edges_per_second: float


@dataclass(frozen=True)
class Bound:
    """The measured limits of the CPU.

    clock_hertz: of one core, from a chain of dependent additions, one per cycle
    vector_bytes: size of one vector load
    one_load_edges_per_second: rate if every core loads one vector of activations per cycle
    l1, l2: bandwidth of arrays half as large as that cache, so that they stay in it
    """

    clock_hertz: float
    vector_bytes: int
    bytes_per_edge: float
    one_load_edges_per_second: float
    l1: ReadBandwidth
    l2: ReadBandwidth

    def or_better(self, other: Bound) -> Bound:
        """Return the higher value of both bounds, field by field."""
        clock = max(self, other, key=lambda bound: bound.clock_hertz)
        l1 = max(self.l1, other.l1, key=lambda read: read.bytes_per_second)
        l2 = max(self.l2, other.l2, key=lambda read: read.bytes_per_second)
        return replace(clock, l1=l1, l2=l2)


def measure_bound(native: Native, threads: int) -> Bound:
    """Measure the bound; takes a few tenths of a second."""
    additions = 1 << 25
    add_seconds = native.library.kkspdnn_add_seconds
    clock = additions / min(add_seconds(additions) for _ in range(_TRIES))
    l1 = _read_bandwidth(
        native, _cache_bytes("SC_LEVEL1_DCACHE_SIZE", 32 << 10) // 2, threads, clock
    )
    l2 = _read_bandwidth(
        native, _cache_bytes("SC_LEVEL2_CACHE_SIZE", 512 << 10) // 2, threads, clock
    )
    one_load = clock * threads * native.vector_bytes / 4
    return Bound(clock, native.vector_bytes, BYTES_PER_EDGE, one_load, l1, l2)


def _read_bandwidth(native: Native, size: int, threads: int, clock: float) -> ReadBandwidth:
    step = 4 * native.vector_bytes
    size = max(size // step, 1) * step
    memory = aligned_empty((size * threads,), np.uint8)
    memory.fill(0)  # otherwise all virtual pages would map to the zero page
    passes = max(1, (1 << 30) // size)
    read_seconds = native.library.kkspdnn_read_seconds
    seconds = min(read_seconds(memory.ctypes.data, size, passes, threads) for _ in range(_TRIES))
    rate = size * passes * threads / seconds
    loads = rate / threads / native.vector_bytes / clock
    return ReadBandwidth(size, rate, loads, rate / BYTES_PER_EDGE)


def _cache_bytes(name: str, default: int) -> int:
    """Return the size of a core's cache, or a default if the system does not report it."""
    try:
        size = os.sysconf(name)
    except (OSError, ValueError):
        size = 0
    return size if size > 0 else default
