"""The worker process of one candidate: `python -m bench.balanced.worker NAME SPACE FOLDER`.

See bench.balanced.runs for its requests.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from bench.balanced.dense_network import float64_outputs
from bench.balanced.digits import digits
from bench.balanced.layers import convert_layers
from bench.balanced.runs import Run, serve_runs
from bench.balanced.timing import candidates, read_network


def main() -> int:
    """Answer requests until stdin or the parent process ends."""
    name, space, folder = sys.argv[1:]
    prepare_candidate = candidates(space)[name].prepare
    assert prepare_candidate is not None
    pixels = digits()[1].pixels()

    def prepare(network_name: str, rows: int, threads: int) -> tuple[Run, Any]:
        network, x = read_network(Path(folder), network_name), pixels[:rows]
        dense = convert_layers(network, True, np.asarray)
        return prepare_candidate(network, x, threads), float64_outputs(dense, x)

    return serve_runs(prepare)


if __name__ == "__main__":
    sys.exit(main())
