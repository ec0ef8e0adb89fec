"""`python -m bench.gpu sanitized`: run every kernel on small networks, for compute-sanitizer."""

from __future__ import annotations

import argparse
from importlib import import_module

import kkspdnn as kk
from bench.gpu.networks import ragged, shared_inputs

_RUNS = (("fused", "all"), ("fused", "none"), ("spgemm", "all"))


def command(arguments: argparse.Namespace) -> int:
    """Return 1 if a value is wrong."""
    if arguments.space == "cuda":
        # Without CuPy's memory pool: an access outside an array must not hit another array.
        cupy = import_module("cupy")
        cupy.cuda.set_allocator(None)
        cupy.cuda.set_pinned_memory_allocator(None)
    wrong = 0
    # One row, a partially filled tile, and several tiles of the default shape.
    for rows in (1, 33, 600):
        for kernel, exits in _RUNS:
            for net, inputs in (
                (kk.radixnet(64, 8), kk.images(64, rows)),
                ragged(rows),
                shared_inputs(rows),
            ):
                verified = kk.infer(
                    net,
                    inputs,
                    space=arguments.space,
                    kernel=kernel,  # type: ignore[arg-type]
                    exits=exits,  # type: ignore[arg-type]
                    tune=False,
                    values=True,
                    verify="full",
                ).record.verified
                wrong += not verified.passed
                verdict = "ok  " if verified.passed else "FAIL"
                print(f"{verdict} {net.name}, {rows} rows, {kernel}, exits {exits}", flush=True)
    return 1 if wrong else 0
