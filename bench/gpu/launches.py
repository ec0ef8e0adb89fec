"""`python -m bench.gpu launches`: time of a fused launch, its parts on the host, and copies."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import median
from time import perf_counter

import numpy as np

import kkspdnn as kk
from bench.ceiling.tiled_problem import TiledProblem
from bench.ceiling.workunit import FusedWorkunit
from bench.gpu.host_time import describe, host_seconds
from bench.gpu.networks import FEW_ROWS, different_weights
from kkspdnn.device.block_transfer import BlockTransfer
from kkspdnn.device.space import Space, open_space
from kkspdnn.engines.exit_bounds import ExitBounds

_LAYERS = 16
_BLOCK_ROWS = 1 << 15  # 4 MB, as in the fused engine


def command(arguments: argparse.Namespace) -> int:
    """Print the medians of several runs."""
    space = open_space(arguments.space)
    _copies(space, arguments.small)
    for rows in (600, FEW_ROWS) if arguments.small else (60_000, 30_000, 8000, 2000, FEW_ROWS):
        # The first layer of a network of equal weights has another form.
        _rates(space, kk.radixnet(1024, _LAYERS + 1), rows, first=1)
    groups = replace(space, launch=replace(space.launch, group_outputs="distinct"))
    different = different_weights(1024, _LAYERS)
    for rows in (600, FEW_ROWS) if arguments.small else (60_000, 2000, FEW_ROWS):
        _rates(groups, different, rows, first=0)
    for rows in (2000,) if arguments.small else (60_000, 8000):
        _checks(space, rows)
    for rows in 600, FEW_ROWS:
        host, total = _launch_seconds(space, rows)
        print(
            f"a fused launch of {rows} rows: host {host * 1e6:.1f} us, total {total * 1e6:.1f} us"
        )
    if space.implementation == "builtin":
        # Few rows of a small layer.
        small = TiledProblem.of(space, kk.radixnet(64, 2), kk.images(64, 8))
        print(f"host time of a launch in us: {describe(host_seconds(small))}")
    return 0


def _rates(space: Space, net: kk.Network, rows: int, first: int) -> None:
    """Print the rates of the layers from `first` on, in the shape of a launch for these rows."""
    problem = TiledProblem.of(space.for_rows(rows, net.dtype), net, kk.images(1024, rows))
    edges = sum(layer.edges for layer in problem.layers[first:])
    rates = []
    for depth in (1, 2, 4, 8, 16):
        workunit = FusedWorkunit(problem, depth, first)
        workunit.start()
        seconds = _median_seconds(space, lambda w=workunit: w.run(_LAYERS))  # type: ignore[misc]
        rates.append(f"{depth}: {rows * edges / seconds:.3g}")
    shape, name = problem.shape, problem.layers[-1].workunit.__name__
    print(
        f"{name}, {rows} rows, {shape.tile_count(rows)} tiles of {shape.lanes}, edges/s by layers "
        f"per launch: {', '.join(rates)}"
    )


def _start(space: Space, net: kk.Network, rows: int) -> FusedWorkunit:
    """Return launches of one layer in the shape for these rows, which are in the tiles."""
    problem = TiledProblem.of(space.for_rows(rows, net.dtype), net, kk.images(1024, rows))
    workunit = FusedWorkunit(problem, 1)
    workunit.start()
    return workunit


def _launch_seconds(space: Space, rows: int) -> tuple[float, float]:
    """Return the seconds of a launch on the host, and in total."""
    workunit = _start(space, kk.radixnet(1024, 2), rows)
    layer = workunit.problem.layers[-1]
    return _repeated_seconds(space, lambda: workunit.launch(layer, 1))


def _checks(space: Space, rows: int) -> None:
    """Print the time of a layer, and of the check of its rows after it."""
    workunit = _start(space, kk.radixnet(1024, 2), rows)
    engine, layer, tiles = workunit.problem.engine, workunit.problem.layers[-1], workunit.tiles
    bounds = ExitBounds.none(engine.dtype)

    def run(ranges: bool, check: bool) -> None:
        engine.kernels.compute(tiles, layer, 1, ranges)
        if check:
            tiles.mark_active(bounds, engine.ymax)

    seconds = [
        _median_seconds(space, partial(run, *given))
        for given in ((False, False), (True, False), (False, True), (True, True))
    ]
    alone, with_ranges, checked, checked_with_ranges = (f"{each * 1e6:.1f}" for each in seconds)
    print(
        f"a layer of {rows} rows in us: {alone}, with ranges {with_ranges}; "
        f"then a check: {checked}, with ranges {checked_with_ranges}"
    )


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
