"""`python -m bench.gpu profiled`: one launch of each fused kernel, for a profiler."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import nullcontext
from importlib import import_module
from typing import Any

import kkspdnn as kk
from bench.ceiling.cuda import load_kernels
from bench.ceiling.hand_cuda import HandCuda
from bench.ceiling.measure import Contender
from bench.ceiling.ours import Ours
from bench.ceiling.work import Work
from kkspdnn.device.space import Space, open_space

_DEPTHS = 1, 8
"""Layers a launch."""


def command(arguments: argparse.Namespace) -> int:
    """The launches between the start and the stop of the profiler follow a warm-up."""
    space = open_space(arguments.space)
    work = Work.of(space, kk.radixnet(1024, 8), kk.images(1024, 600 if arguments.small else 60_000))
    for name, depth, kernel in _kernels(space, work):
        kernel.start()
        kernel.run(8)
        with _profiler(space):
            kernel.run(depth)
        print(f"done: {name}, {depth} layers a launch", flush=True)
    return 0


def _kernels(space: Space, work: Work) -> Iterator[tuple[str, int, Contender]]:
    for depth in _DEPTHS:
        yield "workunit", depth, Ours(work, depth)
    if space.gpu:
        kernels = load_kernels(space)
        for depth in _DEPTHS:
            yield "hand-written kernel", depth, HandCuda(kernels, work, depth)


def _profiler(space: Space) -> Any:
    return import_module("cupyx.profiler").profile() if space.gpu else nullcontext()
