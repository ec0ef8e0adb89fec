"""
One implementation in a process of its own: `python -m bench.balanced.worker NAME SPACE FOLDER`.

{"do": "prepare", "pattern": …, "rows": …, "threads": …} is answered with the network's sparsity and
the largest error of a first run, {"do": "run", "pattern": …} with seconds.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

import kkspdnn as kk
from bench.balanced.contenders import Run
from bench.balanced.digits import digits
from bench.balanced.timing import contenders, network_of
from bench.balanced.training import sparsity
from bench.processes import answer_all

_SECONDS = 0.05
"""Of one answer: after the others have had the caches, the first of the runs in it is slower."""


def main() -> int:
    """Answer until stdin ends, or the process that asks does."""
    name, space, folder = sys.argv[1:]
    contender = contenders(space)[name]
    pixels = digits()[1].pixels()
    runs: dict[str, Run] = {}

    def answer(asked: dict[str, Any]) -> dict[str, Any]:
        pattern = asked["pattern"]
        if asked["do"] == "run":
            return {"seconds": _seconds(runs[pattern])}
        network, x = network_of(Path(folder), pattern), pixels[: asked["rows"]]
        runs[pattern] = contender.prepare(network, x, asked["threads"])
        error = np.abs(runs[pattern]()[1] - _exact(network, x)).max()
        return {"sparsity": sparsity(network), "error": float(error)}

    return answer_all(answer)


def _seconds(run: Run) -> float:
    """The median of as many runs as there is time for."""
    began = perf_counter()
    times: list[float] = []
    while not times or perf_counter() - began < _SECONDS:
        times.append(run()[0])
    return median(times)


def _exact(network: kk.Network, x: Any) -> Any:
    y = x.astype(np.float64)
    for layer in network.layers:
        y = y @ layer.weights().toarray().astype(np.float64) + layer.bias
        y = y if layer.activation == "linear" else np.maximum(y, 0)
    return y


if __name__ == "__main__":
    sys.exit(main())
