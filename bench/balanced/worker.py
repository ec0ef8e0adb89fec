"""The worker process of one candidate: `python -m bench.balanced.worker NAME SPACE FOLDER`.

It answers {"do": "prepare", "pattern": …, "rows": …, "threads": …} with the sparsity of the network
and the largest error of a first run, and {"do": "run", "pattern": …} with the seconds of a run.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

import kkspdnn as kk
from bench.balanced.candidates import Run
from bench.balanced.digits import digits
from bench.balanced.timing import candidates, read_pruned_network
from bench.balanced.training import sparsity
from bench.processes import serve

_SECONDS = 0.05
"""Minimum time of one answer: several runs, as other processes have evicted the caches before."""


def main() -> int:
    """Answer requests until stdin or the parent process ends."""
    name, space, folder = sys.argv[1:]
    candidate = candidates(space)[name]
    pixels = digits()[1].pixels()
    runs: dict[str, Run] = {}

    def answer(message: dict[str, Any]) -> dict[str, Any]:
        pattern = message["pattern"]
        if message["do"] == "run":
            return {"seconds": _seconds(runs[pattern])}
        network = read_pruned_network(Path(folder), pattern)
        x = pixels[: message["rows"]]
        runs[pattern] = candidate.prepare(network, x, message["threads"])
        error = np.abs(runs[pattern]()[1] - _float64_outputs(network, x)).max()
        return {"sparsity": sparsity(network), "error": float(error)}

    return serve(answer)


def _seconds(run: Run) -> float:
    """Return the median time of the runs that start within _SECONDS."""
    began = perf_counter()
    times: list[float] = []
    while not times or perf_counter() - began < _SECONDS:
        times.append(run()[0])
    return median(times)


def _float64_outputs(network: kk.Network, x: Any) -> Any:
    y = x.astype(np.float64)
    for layer in network.layers:
        y = y @ layer.weights().toarray().astype(np.float64) + layer.bias
        y = y if layer.activation == "linear" else np.maximum(y, 0)
    return y


if __name__ == "__main__":
    sys.exit(main())
