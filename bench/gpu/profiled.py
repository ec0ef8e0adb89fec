"""`python -m bench.gpu profiled`: launch each fused kernel once while the profiler is on."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from importlib import import_module
from typing import Any

import kkspdnn as kk
from bench.ceiling.cuda import load_kernels
from bench.ceiling.hand_written_cuda import HandWrittenCudaKernel
from bench.ceiling.tiled_problem import LaunchCandidate, TiledProblem
from bench.ceiling.workunit import FusedWorkunit
from bench.gpu.networks import FEW_ROWS, different_weights
from kkspdnn.device.space import Space, open_space

_LAYERS = 16
_DEPTHS = 1, _LAYERS
"""Layers per launch."""


def command(arguments: argparse.Namespace) -> int:
    """Warm up each kernel, then launch it between start and stop of the profiler."""
    space = open_space(arguments.space)
    for name, depth, kernel in _kernels(space, 600 if arguments.small else 60_000):
        kernel.start()
        kernel.run(depth)
        kernel.start()
        with _profiler(space):
            kernel.run(depth)
        print(f"done: {name}, {depth} layers per launch", flush=True)
    return 0


def _kernels(space: Space, rows: int) -> Iterator[tuple[str, int, LaunchCandidate]]:
    """Yield the name, the layers per launch and the kernel, the most informative one first."""
    # The first layer has another form, and is not profiled.
    net = kk.radixnet(1024, _LAYERS + 1)
    problem = TiledProblem.of(space, net, kk.images(1024, rows))
    for depth in _DEPTHS:
        yield _name(problem), depth, FusedWorkunit(problem, depth, first=1)
    launch = replace(space.launch, group_outputs="distinct")
    different = different_weights(1024, _LAYERS)
    groups = TiledProblem.of(replace(space, launch=launch), different, problem.inputs)
    for depth in reversed(_DEPTHS):
        yield _name(groups), depth, FusedWorkunit(groups, depth)
    if space.gpu:
        kernels = load_kernels(space)
        for depth in _DEPTHS:
            hand_written = HandWrittenCudaKernel(kernels, problem, depth, first=1)
            yield "hand-written kernel", depth, hand_written
    few = TiledProblem.of(space.for_rows(FEW_ROWS, net.dtype), net, kk.images(1024, FEW_ROWS))
    yield f"{_name(few)}, {FEW_ROWS} rows", 1, FusedWorkunit(few, 1, first=1)


def _name(problem: TiledProblem) -> str:
    name: str = problem.layers[-1].workunit.__name__
    return name


def _profiler(space: Space) -> Any:
    return import_module("cupyx.profiler").profile() if space.gpu else nullcontext()
