"""What the cores and their caches allow: a clock and two bandwidths, measured."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import numpy as np

from bench.ceiling.hand import LANES
from bench.ceiling.native import Native
from kkspdnn.engines.fused.tiles import aligned

BYTES_PER_EDGE = 4 + 2 / LANES
"""Loaded for one edge of one row where all weights are equal: the activation, and its share of a
uint16 index, which serves a whole tile."""

_TRIES = 10
"""The best of so many is taken, as nothing but a disturbance makes one slower."""


@dataclass(frozen=True)
class Reading:
    """All threads at once reading memory of their own.

    bytes: for each thread; bytes_per_second, edges_per_second: of all threads together, the latter
    with BYTES_PER_EDGE; loads_per_cycle: vector loads of one thread
    """

    bytes: int
    bytes_per_second: float
    loads_per_cycle: float
    edges_per_second: float


@dataclass(frozen=True)
class Bound:
    """clock_hertz: of one core, from additions that wait for each other, one a cycle
    vector_bytes: of one load
    one_load_edges_per_second: if every core loaded one vector of activations a cycle
    l1, l2: reading half of that cache, so that it all stays there
    """

    clock_hertz: float
    vector_bytes: int
    bytes_per_edge: float
    one_load_edges_per_second: float
    l1: Reading
    l2: Reading

    def or_better(self, other: Bound) -> Bound:
        """The best of both, number by number."""
        clock = max(self, other, key=lambda bound: bound.clock_hertz)
        l1 = max(self.l1, other.l1, key=lambda reading: reading.bytes_per_second)
        l2 = max(self.l2, other.l2, key=lambda reading: reading.bytes_per_second)
        return replace(clock, l1=l1, l2=l2)


def measure_bound(native: Native, threads: int) -> Bound:
    """Measure them now, in a few tenths of a second."""
    additions = 1 << 25
    add_seconds = native.library.kkspdnn_add_seconds
    clock = additions / min(add_seconds(additions) for _ in range(_TRIES))
    l1 = _reading(native, _cache_bytes("SC_LEVEL1_DCACHE_SIZE", 32 << 10) // 2, threads, clock)
    l2 = _reading(native, _cache_bytes("SC_LEVEL2_CACHE_SIZE", 512 << 10) // 2, threads, clock)
    one_load = clock * threads * native.vector_bytes / 4
    return Bound(clock, native.vector_bytes, BYTES_PER_EDGE, one_load, l1, l2)


def _reading(native: Native, size: int, threads: int, clock: float) -> Reading:
    step = 4 * native.vector_bytes
    size = max(size // step, 1) * step
    memory = aligned((size * threads,), np.uint8)
    memory.fill(0)  # else all pages would be one page of zeros
    passes = max(1, (1 << 30) // size)
    read_seconds = native.library.kkspdnn_read_seconds
    seconds = min(read_seconds(memory.ctypes.data, size, passes, threads) for _ in range(_TRIES))
    rate = size * passes * threads / seconds
    loads = rate / threads / native.vector_bytes / clock
    return Reading(size, rate, loads, rate / BYTES_PER_EDGE)


def _cache_bytes(name: str, usual: int) -> int:
    """The size of a core's cache; the usual one where the system does not tell."""
    try:
        told = os.sysconf(name)
    except (OSError, ValueError):
        told = 0
    return told if told > 0 else usual
