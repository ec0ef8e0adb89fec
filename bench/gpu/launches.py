"""`python -m bench.gpu launches`: time of a fused launch, its parts on the host, and copies."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import median
from time import perf_counter

import numpy as np

import kkspdnn as kk
from bench.ceiling.tiled_problem import TiledProblem
from bench.ceiling.workunit import FusedWorkunit
from bench.gpu.host_time import describe, host_seconds
from kkspdnn.device.block_transfer import BlockTransfer
from kkspdnn.device.space import Space, open_space

_LAYERS = 16
_BLOCK_ROWS = 1 << 15  # 4 MB, as in the fused engine


def command(arguments: argparse.Namespace) -> int:
    """Print the medians of several runs."""
    space = open_space(arguments.space)
    net = kk.radixnet(1024, _LAYERS)
    _copies(space, arguments.small)
    for rows in (600,) if arguments.small else (60_000, 30_000, 8000, 2000, 600):
        problem = TiledProblem.of(space, net, kk.images(1024, rows))
        rates = []
        for depth in (1, 2, 4, 8, 16):
            workunit = FusedWorkunit(problem, depth)
            workunit.start()
            seconds = _median_seconds(space, lambda w=workunit: w.run(_LAYERS))  # type: ignore[misc]
            rates.append(f"{depth}: {rows * net.edges / seconds:.3g}")
        tiles = problem.shape.tile_count(rows)
        print(f"{rows} rows, {tiles} tiles, edges/s by layers per launch: {', '.join(rates)}")
    problem = TiledProblem.of(space, net, kk.images(1024, 600))
    workunit = FusedWorkunit(problem, 1)
    workunit.start()

    def launch() -> None:
        problem.engine.kernels.compute(workunit.tiles, problem.layers[0], 1)

    host, total = _repeated_seconds(space, launch)
    print(f"a fused launch of 600 rows: host {host * 1e6:.1f} us, total {total * 1e6:.1f} us")
    if space.implementation == "builtin":
        # Few rows of a small layer.
        small = TiledProblem.of(space, kk.radixnet(64, 2), kk.images(64, 8))
        print(f"host time of a launch in us: {describe(host_seconds(small))}")
    return 0


def _copies(space: Space, small: bool) -> None:
    """Print the bandwidth on the device, and the time of a copy from the host to the device."""
    if not space.gpu:
        return
    size = 1 << (24 if small else 30)
    source, target = space.zeros(size, np.uint8), space.empty(size, np.uint8)
    seconds = _median_seconds(space, lambda: target.__setitem__(slice(None), source))
    print(f"copy on the device: {2 * size / seconds / 1e12:.2f} TB/s, reads and writes")
    bits = np.random.default_rng(0).integers(0, 255, 60_000 * 128, dtype=np.uint8)
    seconds = _median_seconds(space, lambda: space.to_device(bits))
    blocks, rows = BlockTransfer(space.transfer()), bits.reshape(60_000, 128)
    pinned = _median_seconds(space, lambda: list(blocks.send(rows, _BLOCK_ROWS)))
    print(
        f"copy of {bits.nbytes / 1e6:.1f} MB to the device: pageable {seconds * 1e3:.2f} ms, "
        f"in blocks through pinned memory {pinned * 1e3:.2f} ms"
    )


def _median_seconds(space: Space, action: Callable[[], object], runs: int = 7) -> float:
    """Return the median of several runs after a warm-up; the device is idle before each run."""
    action()
    return median(_seconds(space, action) for _ in range(runs))


def _seconds(space: Space, action: Callable[[], object]) -> float:
    space.synchronize()
    begun = perf_counter()
    action()
    space.synchronize()
    return perf_counter() - begun


def _repeated_seconds(
    space: Space, action: Callable[[], object], times: int = 400
) -> tuple[float, float]:
    """Return seconds per call of consecutive calls: on the host, and until the device is idle."""
    action()
    space.synchronize()
    begun = perf_counter()
    for _ in range(times):
        action()
    host = perf_counter() - begun
    space.synchronize()
    return host / times, (perf_counter() - begun) / times
