"""Measure the latency of the collective that ends a run; start it with mpiexec.

Each repetition synchronizes the ranks, then times the gathering of their results on rank 0.
"""

from __future__ import annotations

from statistics import median
from time import perf_counter

import numpy as np

from kkspdnn.engines import PartialResult
from kkspdnn.parallel.launcher import detect_launch
from kkspdnn.parallel.ranks import launched_ranks

_REPEATS = 300
_ROWS = 100
"""Active rows per rank, about as many as with 20 ranks and the smallest challenge network."""


def main() -> None:
    """Print the median latency in seconds, on rank 0."""
    ranks = launched_ranks(detect_launch())
    result = PartialResult(np.arange(_ROWS, dtype=np.int64), None, 0)
    times = []
    for _ in range(_REPEATS):
        ranks.barrier()
        begun = perf_counter()
        ranks.gather([result])
        times.append(perf_counter() - begun)
    if ranks.rank == 0:
        print(median(times))


if __name__ == "__main__":
    main()
