"""`python -m bench.gpu profiled`: launch each fused kernel once while the profiler is on."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import nullcontext
from importlib import import_module
from typing import Any

import kkspdnn as kk
from bench.ceiling.cuda import load_kernels
from bench.ceiling.hand_written_cuda import HandWrittenCudaKernel
from bench.ceiling.measure import Candidate
from bench.ceiling.tiled_problem import TiledProblem
from bench.ceiling.workunit import FusedWorkunit
from kkspdnn.device.space import Space, open_space

_DEPTHS = 1, 8
"""Layers per launch."""


def command(arguments: argparse.Namespace) -> int:
    """Warm up each kernel, then launch it between start and stop of the profiler."""
    space = open_space(arguments.space)
    rows = 600 if arguments.small else 60_000
    problem = TiledProblem.of(space, kk.radixnet(1024, 8), kk.images(1024, rows))
    for name, depth, kernel in _kernels(space, problem):
        kernel.start()
        kernel.run(8)
        with _profiler(space):
            kernel.run(depth)
        print(f"done: {name}, {depth} layers per launch", flush=True)
    return 0


def _kernels(space: Space, problem: TiledProblem) -> Iterator[tuple[str, int, Candidate]]:
    for depth in _DEPTHS:
        yield "workunit", depth, FusedWorkunit(problem, depth)
    if space.gpu:
        kernels = load_kernels(space)
        for depth in _DEPTHS:
            yield "hand-written kernel", depth, HandWrittenCudaKernel(kernels, problem, depth)


def _profiler(space: Space) -> Any:
    return import_module("cupyx.profiler").profile() if space.gpu else nullcontext()
