"""`python -m bench.gpu values`: compare every value of each engine with the serial reference."""

from __future__ import annotations

import argparse
import traceback
from collections.abc import Callable, Iterator
from hashlib import sha256
from time import perf_counter
from typing import Any

import kkspdnn as kk
from bench.gpu.networks import different_weights, ragged, shared_inputs
from kkspdnn.choices import SpaceName
from kkspdnn.device.space import open_space

Check = tuple[str, Callable[[], str]]
"""A name, and a function that returns a short text or raises if the check fails."""


def command(arguments: argparse.Namespace) -> int:
    """Run all checks; return 1 if a value is wrong or a check fails."""
    begun, failures = perf_counter(), 0
    for name, check in _checks(arguments.space, arguments.small):
        try:
            text = check()
            print(f"[{perf_counter() - begun:6.2f} s] ok   {name}: {text}", flush=True)
        except Exception as error:
            failures += 1
            text = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            print(f"[{perf_counter() - begun:6.2f} s] FAIL {name}: {text}", flush=True)
            traceback.print_exc()
    print(f"failures: {failures}", flush=True)
    return 1 if failures else 0


def _checks(space: SpaceName, small: bool) -> Iterator[Check]:
    yield "start Kokkos", lambda: _start(space)

    def challenge(**options: Any) -> str:
        rows = options.pop("rows", 300)
        net = kk.radixnet(64, 24, dtype=options.get("dtype", "float32"))
        return _compare(net, kk.images(64, rows), space, **options)

    yield "fused, exits none", lambda: challenge(exits="none")
    yield "fused, exits all", lambda: challenge()
    yield "fused, 700 rows", lambda: challenge(rows=700)
    yield "SpGEMM", lambda: challenge(kernel="spgemm")
    yield (
        "SpGEMM, separate epilogue",
        lambda: challenge(kernel="spgemm", epilogue="separate", exits="none"),
    )
    yield "merged neurons", lambda: challenge(fold=True)
    # On a GPU up to 512 rows have tiles of 32 threads with one lane each.
    for rows in (300, 700):
        for exits in ("none", "all"):
            yield (
                f"neurons with the same inputs, {rows} rows, exits {exits}",
                lambda rows=rows, exits=exits: _compare(  # type: ignore[misc]
                    *shared_inputs(rows), space, exits=exits
                ),
            )
    for kernel in ("fused", "spgemm"):
        yield (
            f"{kernel}, different fan-ins",
            lambda kernel=kernel: _compare(*ragged(700), space, kernel=kernel),  # type: ignore[misc]
        )
    neurons, layers, rows = (256, 40, 600) if small else (1024, 120, 6000)
    for exits in ("all", "dead", "none"):
        yield (
            f"{neurons} x {layers}, {rows} rows, exits {exits}",
            lambda exits=exits: _compare(  # type: ignore[misc]
                kk.radixnet(neurons, layers), kk.images(neurons, rows), space, exits=exits
            ),
        )
    yield (
        f"{neurons} x 8, 16 neurons with the same inputs, 700 rows",
        lambda: _compare(
            different_weights(neurons, 8), kk.images(neurons, 700), space, exits="none"
        ),
    )
    yield "twelve repetitions", lambda: _repeat(space, 500 if small else 5000)
    yield "float64", lambda: challenge(exits="dead", dtype="float64")


def _start(name: str) -> str:
    space = open_space(name)
    text = f"{space.device_name or 'CPU'}, Kokkos {space.kokkos_version}, {space.compiler}"
    if space.gpu:
        names = "MultiProcessorCount ClockRate L2CacheSize MaxThreadsPerMultiProcessor"
        attributes = space.xp.cuda.Device().attributes
        text += "".join(f", {name} {attributes.get(name)}" for name in names.split())
        text += f", CuPy {space.xp.__version__}, free bytes {space.device_memory()[0]:,}"
    return text


def _compare(net: kk.Network, inputs: Any, space: SpaceName, **options: Any) -> str:
    """Run with full verification; raise AssertionError if it fails."""
    options = {"tune": False, "values": True, "verify": "full", **options}
    result = kk.infer(net, inputs, space=space, **options)
    record, verified = result.record, result.record.verified
    if not verified.passed:
        raise AssertionError(
            f"largest error {verified.max_abs_error}, allowed {verified.bound}, "
            f"same categories: {verified.same_categories}"
        )
    rate = record.edges_multiplied / max(record.inference_seconds, 1e-9)
    return (
        f"largest error {verified.max_abs_error:.3g} of {verified.bound:.3g}, {record.categories} "
        f"categories, {record.inference_seconds * 1e3:.2f} ms, {rate:.3g} computed edges/s"
    )


def _repeat(space: SpaceName, rows: int) -> str:
    """Check that repeated runs return the same bits, with and without early exit: no data race."""
    net, inputs = kk.radixnet(256, 40), kk.images(256, rows)
    digests = set()
    for exits in ("none", "dead", "all"):
        for _ in range(4):
            values = kk.infer(net, inputs, space=space, exits=exits, tune=False, values=True).values
            assert values is not None
            arrays = values.indptr, values.indices, values.data
            digests.add(sha256(b"".join(array.tobytes() for array in arrays)).hexdigest())
    if len(digests) != 1:
        raise AssertionError(f"{len(digests)} different results: values change between runs")
    return "the same bits"
