"""`python -m bench.gpu sanitized`: small runs of every kernel, for compute-sanitizer."""

from __future__ import annotations

import argparse
from importlib import import_module

import kkspdnn as kk
from bench.gpu.values import ragged

_RUNS = (("fused", "all"), ("fused", "none"), ("spgemm", "all"))


def command(arguments: argparse.Namespace) -> int:
    """1 where a value is wrong."""
    if arguments.space == "cuda":
        # In CuPy's memory pool a step outside an array would be inside another one.
        cupy = import_module("cupy")
        cupy.cuda.set_allocator(None)
        cupy.cuda.set_pinned_memory_allocator(None)
    wrong = 0
    # One row, a tile that is not full, and several tiles.
    for rows in (1, 33, 600):
        for kernel, exits in _RUNS:
            for net, inputs in (
                (kk.radixnet(64, 8), kk.images(64, rows)),
                ragged(rows),
            ):
                found = kk.infer(
                    net,
                    inputs,
                    space=arguments.space,
                    kernel=kernel,  # type: ignore[arg-type]
                    exits=exits,  # type: ignore[arg-type]
                    values=True,
                    verification="full",
                ).record.verified
                wrong += not found.passed
                verdict = "ok  " if found.passed else "FAIL"
                print(f"{verdict} {net.name}, {rows} rows, {kernel}, exits {exits}", flush=True)
    return 1 if wrong else 0
