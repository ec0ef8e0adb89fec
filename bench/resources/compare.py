"""Differences between a recorded report and a new one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import TypeVar

from bench.resources.counts import LoopCounts
from bench.resources.record import Kernel, Report

T = TypeVar("T")

_KERNEL: Mapping[str, Callable[[Kernel], float]] = {
    "registers": lambda k: k.usage.registers,
    "bytes of stack": lambda k: k.usage.stack_bytes,
    "bytes of local memory": lambda k: k.usage.local_bytes,
    "bytes of static shared memory": lambda k: k.usage.shared_bytes,
    "spill instructions": lambda k: k.spills,
}
"""Properties of a kernel that should not increase."""

_LOOP: Mapping[str, Callable[[LoopCounts], float]] = {
    "latencies per edge": lambda loop: loop.latencies / loop.row_edges,
    "instructions per edge": lambda loop: loop.instructions_per_edge,
    "L1 wavefronts per edge": lambda loop: loop.wavefronts_per_edge,
}
"""Properties of a loop that should not increase."""

_LOADS: Mapping[str, Callable[[LoopCounts], float]] = {
    "loads in flight": lambda loop: loop.in_flight,
    "bytes per load": lambda loop: min(loop.activation_bytes),
}
"""Properties of a loop that should not decrease."""


def differences(recorded: Report, now: Report) -> Iterator[str]:
    """Yield one line per difference: first what got worse, then what makes the record outdated.

    Compares the architectures and dtypes of `now` only. If the compilers have different versions,
    the differences say nothing about the code of kkspdnn.
    """
    old = {kernel.key: kernel for kernel in recorded.kernels}
    new = {kernel.key: kernel for kernel in now.kernels}
    pairs = [(old[key], kernel) for key, kernel in new.items() if key in old]
    for before, after in pairs:
        yield from _worse(before, after)
    yield from _outdated(pairs)
    compiled = {(kernel.arch, kernel.dtype) for kernel in now.kernels if kernel.is_workunit}
    for key, kernel in old.items():
        if key not in new and kernel.is_workunit and (kernel.arch, kernel.dtype) in compiled:
            yield f"{_name(kernel)}: in the record, but no longer compiled"
    for key, kernel in new.items():
        if key not in old:
            yield f"{_name(kernel)}: not in the record"


def _worse(before: Kernel, after: Kernel) -> Iterator[str]:
    name = _name(after)
    yield from _increases(_KERNEL, before, after, f"{name}: worse:")
    now = {loop.rows: loop for loop in after.loops}
    for old in before.loops:
        if old.rows not in now:
            yield f"{name}: worse: no loop over edges computes {old.rows} rows per thread"
            continue
        prefix = f"{name}, {old.rows} rows per thread: worse:"
        yield from _increases(_LOOP, old, now[old.rows], prefix)
        yield from _increases(_LOADS, old, now[old.rows], prefix, sign=-1)


def _increases(
    measures: Mapping[str, Callable[[T], float]], before: T, after: T, prefix: str, sign: int = 1
) -> Iterator[str]:
    """Yield one line per measure that increased, or decreased if sign is -1."""
    for name, measure in measures.items():
        old, new = measure(before), measure(after)
        if sign * new > sign * old:
            yield f"{prefix} {new:g} {name}, {old:g} in the record"


def _outdated(pairs: list[tuple[Kernel, Kernel]]) -> Iterator[str]:
    for before, after in pairs:
        if before != after and not any(_worse(before, after)):
            old, new = asdict(before), asdict(after)
            fields = [name for name in old if old[name] != new[name]]
            yield f"{_name(after)}: differs from the record in {', '.join(fields)}"


def _name(kernel: Kernel) -> str:
    return f"{kernel.name} ({kernel.dtype}, {kernel.arch})"
