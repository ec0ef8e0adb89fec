"""The time of a fused launch on the host, by part."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any
from unittest.mock import patch

from bench.ceiling.tiled_problem import TiledProblem
from bench.ceiling.workunit import FusedWorkunit
from kkspdnn.engines.fused.layer import LAUNCH_ARGUMENTS
from kkspdnn.pk.runtime.kokkos_runtime import get_runtime

_ROUNDS = 40
_CALLS = 50


@dataclass(frozen=True)
class _Part:
    """An action that is timed; `kernel` says whether it calls the library of the workunit."""

    name: str
    action: Callable[[], object]
    kernel: bool = False


def host_seconds(problem: TiledProblem) -> dict[str, float]:
    """Return the seconds of a fused launch of one layer on the host, and of its parts.

    Each is the minimum over rounds, in which all parts take turns. Except for the first one, the
    launches do not call the library of the workunit, so that neither Kokkos nor the kernel counts.
    """
    space, workunit = problem.shape.space, FusedWorkunit(problem, 1)
    workunit.start()
    kernels, layer, rows = problem.engine.kernels, problem.layers[-1], workunit.tiles
    policy, shape = space.teams(rows.count), rows.shape
    values = (
        *(rows.array, rows.ranges, layer.group_index, 1, 0, shape.widest),
        *(1, layer.outputs, 0, shape.lanes),
    )
    _, _, fixed, _ = layer.launch.arguments
    arguments = {**fixed, **dict(zip(LAUNCH_ARGUMENTS, values, strict=True))}
    runtime = get_runtime(space.execution_space)
    unused, packed = ctypes.c_void_p(0), bytes(256)
    parts = [
        _Part(
            "a launch with Kokkos and the kernel",
            lambda: kernels.compute(rows, layer, 1),
            kernel=True,
        ),
        _Part("FusedKernels.compute", lambda: kernels.compute(rows, layer, 1)),
        _Part("its prepared launch", lambda: layer.launch(space.pk, policy, *values)),
        _Part("Runtime.launch in it", lambda: runtime.launch(unused, b"", packed, True)),
        _Part(
            "pk.parallel_for of the same launch",
            lambda: space.pk.parallel_for("fused", policy, layer.workunit, **arguments),
        ),
    ]
    for part in parts:
        if part.name != "Runtime.launch in it":
            part.action()
    seconds = dict.fromkeys([part.name for part in parts], float("inf"))
    for _ in range(_ROUNDS):
        for part in parts:
            space.synchronize()
            with _without_library(runtime, not part.kernel):
                seconds[part.name] = min(seconds[part.name], _call_seconds(part.action))
    return seconds


def describe(seconds: Mapping[str, float]) -> str:
    """Return one line with the microseconds of each part."""
    return ", ".join(f"{name} {each * 1e6:.1f}" for name, each in seconds.items())


@contextmanager
def _without_library(runtime: Any, replaced: bool) -> Iterator[None]:
    """Replace the call of workunits' libraries by one that does nothing, if `replaced`."""
    if not replaced:
        yield
        return
    with patch.object(runtime, "_run", lambda *_: 0):
        yield


def _call_seconds(action: Callable[[], object]) -> float:
    begun = perf_counter()
    for _ in range(_CALLS):
        action()
    return (perf_counter() - begun) / _CALLS
