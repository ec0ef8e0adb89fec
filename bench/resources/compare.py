"""What has changed from a recorded report to a new one."""

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
"""Of a kernel: more is worse."""

_LOOP: Mapping[str, Callable[[LoopCounts], float]] = {
    "latencies an edge": lambda loop: loop.latencies / loop.row_edges,
    "instructions an edge": lambda loop: loop.instructions_per_edge,
    "L1 wavefronts an edge": lambda loop: loop.wavefronts_per_edge,
}
"""Of a loop: more is worse."""

_LOADS: Mapping[str, Callable[[LoopCounts], float]] = {
    "loads in flight": lambda loop: loop.in_flight,
    "bytes a load": lambda loop: min(loop.activation_bytes),
}
"""Of a loop: less is worse."""


def differences(recorded: Report, now: Report) -> Iterator[str]:
    """What differs, a line each: first what is worse than the record, then what makes it stale.

    Only kernels of architectures and dtypes that `now` has are compared. Where both come from
    compilers of different versions, no difference says anything about the code.
    """
    old = {each.key: each for each in recorded.kernels}
    new = {each.key: each for each in now.kernels}
    pairs = [(old[key], each) for key, each in new.items() if key in old]
    for before, after in pairs:
        yield from _worse(before, after)
    yield from _stale(pairs)
    families = {(each.arch, each.dtype) for each in now.kernels if each.is_workunit}
    for key, each in old.items():
        if key not in new and each.is_workunit and (each.arch, each.dtype) in families:
            yield f"{_name(each)}: is in the record and no longer compiled"
    for key, each in new.items():
        if key not in old:
            yield f"{_name(each)}: is not in the record"


def _worse(before: Kernel, after: Kernel) -> Iterator[str]:
    name = _name(after)
    yield from _rises(_KERNEL, before, after, f"{name}: worse:")
    now = {loop.rows: loop for loop in after.loops}
    for was in before.loops:
        if was.rows not in now:
            yield f"{name}: worse: no loop over edges computes {was.rows} rows a thread any more"
            continue
        said = f"{name}, {was.rows} rows a thread: worse:"
        yield from _rises(_LOOP, was, now[was.rows], said)
        yield from _rises(_LOADS, was, now[was.rows], said, sign=-1)


def _rises(
    measures: Mapping[str, Callable[[T], float]], before: T, after: T, said: str, sign: int = 1
) -> Iterator[str]:
    """What has risen, or with sign -1 fallen."""
    for what, measure in measures.items():
        was, is_now = measure(before), measure(after)
        if sign * is_now > sign * was:
            yield f"{said} {is_now:g} {what}, {was:g} in the record"


def _stale(pairs: list[tuple[Kernel, Kernel]]) -> Iterator[str]:
    for before, after in pairs:
        if before != after and not any(_worse(before, after)):
            old, new = asdict(before), asdict(after)
            fields = [name for name in old if old[name] != new[name]]
            yield f"{_name(after)}: differs from the record in {', '.join(fields)}"


def _name(kernel: Kernel) -> str:
    return f"{kernel.name} ({kernel.dtype}, {kernel.arch})"
