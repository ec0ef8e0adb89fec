"""Prepared runs of a worker: preparing, checking, timing and releasing them. Imports NumPy only.

The requests of a worker are JSON objects {"do": …, "network": …, "rows": …, "threads": …}:

- prepare: prepares the run of a network; the answer has the largest error of a first run
- run: the answer has the seconds of a run
- release: releases the run of the network, before those of other rows need memory
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from bench.processes import serve

Run = Callable[[], tuple[float, Any]]
"""Makes one run; returns its seconds and the outputs (rows, classes)."""

_SECONDS = 0.05
"""Minimum time of one answer: several runs, as other processes have evicted the caches before."""


def timed(compute: Callable[[], Any]) -> Run:
    """Return the run of a function that returns the outputs."""

    def run() -> tuple[float, Any]:
        began = perf_counter()
        y = compute()
        return perf_counter() - began, y

    return run


def serve_runs(prepare: Callable[[str, int, int], tuple[Run, Any]]) -> int:
    """Answer requests until stdin or the parent process ends.

    prepare: returns the run of a network, by its name, for a number of rows and of threads, and the
    expected outputs in float64
    """
    runs: dict[str, Run] = {}

    def answer(message: dict[str, Any]) -> dict[str, Any]:
        network = message["network"]
        if message["do"] == "release":
            del runs[network]
            gc.collect()
            return {}
        if message["do"] == "run":
            return {"seconds": _median_seconds(runs[network])}
        runs[network], expected = prepare(network, message["rows"], message["threads"])
        return {"error": float(np.abs(runs[network]()[1] - expected).max())}

    return serve(answer)


def _median_seconds(run: Run) -> float:
    """Return the median time of the runs that start within _SECONDS."""
    began = perf_counter()
    times: list[float] = []
    while not times or perf_counter() - began < _SECONDS:
        times.append(run()[0])
    return median(times)
