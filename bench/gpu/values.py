"""`python -m bench.gpu values`: every engine against the serial reference, value by value."""

from __future__ import annotations

import argparse
import traceback
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import pairwise
from time import perf_counter
from typing import Any

import numpy as np
import scipy.sparse as sp

import kkspdnn as kk
from kkspdnn.device.space import open_space

Check = tuple[str, Callable[[], str]]
"""A name, and a function that raises or gives a few words on what it found."""


def command(arguments: argparse.Namespace) -> int:
    """1 if any value is wrong or anything fails; later checks run all the same."""
    begun, failures = perf_counter(), 0
    for name, check in _checks(arguments.space, arguments.small):
        try:
            found = check()
            print(f"[{perf_counter() - begun:6.2f} s] ok   {name}: {found}", flush=True)
        except Exception as error:
            failures += 1
            said = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            print(f"[{perf_counter() - begun:6.2f} s] FAIL {name}: {said}", flush=True)
            traceback.print_exc()
    print(f"failures: {failures}", flush=True)
    return 1 if failures else 0


def _checks(space: str, small: bool) -> Iterator[Check]:
    yield "start Kokkos", lambda: _started(space)

    def challenge(**options: Any) -> str:
        rows = options.pop("rows", 300)
        net = kk.radixnet(64, 24, dtype=options.get("dtype", "float32"))
        return _compared(net, kk.images(64, rows), space, **options)

    yield "fused, exits none", lambda: challenge(exits="none")
    yield "fused, exits all", lambda: challenge()
    yield "fused, 700 rows", lambda: challenge(rows=700)
    yield "SpGEMM", lambda: challenge(kernel="spgemm")
    yield "merged neurons", lambda: challenge(fold=True)
    for kernel in ("fused", "spgemm"):
        yield (
            f"{kernel}, several fan-ins",
            lambda kernel=kernel: _compared(*ragged(700), space, kernel=kernel),  # type: ignore[misc]
        )
    neurons, layers, rows = (256, 40, 600) if small else (1024, 120, 6000)
    for exits in ("all", "dead", "none"):
        yield (
            f"{neurons} x {layers}, {rows} rows, exits {exits}",
            lambda exits=exits: _compared(  # type: ignore[misc]
                kk.radixnet(neurons, layers), kk.images(neurons, rows), space, exits=exits
            ),
        )
    yield "twelve repeats", lambda: _repeated(space, 500 if small else 5000)
    yield "float64", lambda: challenge(exits="dead", dtype="float64")


def _started(space: str) -> str:
    there = open_space(space)
    text = f"{there.device_name or 'CPU'}, Kokkos {there.kokkos_version}, {there.compiler}"
    if there.gpu:
        names = "MultiProcessorCount ClockRate L2CacheSize MaxThreadsPerMultiProcessor"
        attributes = there.xp.cuda.Device().attributes
        text += "".join(f", {name} {attributes.get(name)}" for name in names.split())
        text += f", CuPy {there.xp.__version__}, bytes free {there.device_memory()[0]:,}"
    return text


def ragged(rows: int) -> tuple[kk.Network, np.ndarray[Any, np.dtype[np.float32]]]:
    """A network whose neurons have different fan-ins and weights, and dense input rows."""
    random, widths = np.random.default_rng(7), [40, 56, 56, 56, 24]
    layers = [
        kk.Layer.from_sparse(
            sp.random_array((a, b), density=0.2, rng=random, dtype=np.float32),
            np.full(b, -0.01, np.float32),
        )
        for a, b in pairwise(widths)
    ]
    x = (np.arange(rows * widths[0]).reshape(rows, widths[0]) % 7 < 2).astype(np.float32)
    return kk.network(layers, ymax=None), x


def _compared(net: kk.Network, inputs: Any, space: str, **options: Any) -> str:
    """All values of a run against the serial reference's."""
    result = kk.infer(net, inputs, space=space, values=True, verification="full", **options)
    record, found = result.record, result.record.verified
    if not found.passed:
        raise AssertionError(
            f"largest error {found.max_abs_error}, allowed {found.bound}, "
            f"same categories: {found.same_categories}"
        )
    rate = record.edges_multiplied / max(record.inference_seconds, 1e-9)
    return (
        f"largest error {found.max_abs_error:.3g} of {found.bound:.3g}, {record.categories} "
        f"categories, {record.inference_seconds * 1e3:.2f} ms, {rate:.3g} computed edges/s"
    )


def _repeated(space: str, rows: int) -> str:
    """The same bits from every run, whichever rows exit early: else there is a race."""
    net, inputs = kk.radixnet(256, 40), kk.images(256, rows)
    seen = set()
    for exits in ("none", "dead", "all"):
        for _ in range(4):
            values = kk.infer(net, inputs, space=space, exits=exits, values=True).values
            assert values is not None
            parts = values.indptr, values.indices, values.data
            seen.add(sha256(b"".join(part.tobytes() for part in parts)).hexdigest())
    if len(seen) != 1:
        raise AssertionError(f"{len(seen)} different results: values change from run to run")
    return "the same bits"
