"""What has changed from a recorded report to a new one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict

from bench.resources.record import Kernel, Report

_WORSE_IF_MORE: Mapping[str, Callable[[Kernel], float]] = {
    "registers": lambda k: k.usage.registers,
    "bytes of stack": lambda k: k.usage.stack_bytes,
    "bytes of local memory": lambda k: k.usage.local_bytes,
    "bytes of static shared memory": lambda k: k.usage.shared_bytes,
    "spill instructions": lambda k: k.spills,
    "latencies an edge": lambda k: k.loop.latencies / k.loop.row_edges,
    "instructions an edge": lambda k: k.loop.instructions_per_edge,
    "L1 wavefronts an edge": lambda k: k.loop.wavefronts_per_edge,
}

_WORSE_IF_LESS: Mapping[str, Callable[[Kernel], float]] = {
    "loads in flight": lambda k: k.loop.in_flight,
    "bytes a load": lambda k: min(k.loop.activation_bytes),
}


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
    for sign, measures in ((1, _WORSE_IF_MORE), (-1, _WORSE_IF_LESS)):
        for what, measure in measures.items():
            was, is_now = measure(before), measure(after)
            if sign * is_now > sign * was:
                yield f"{_name(after)}: worse: {is_now:g} {what}, {was:g} in the record"


def _stale(pairs: list[tuple[Kernel, Kernel]]) -> Iterator[str]:
    for before, after in pairs:
        if before != after and not any(_worse(before, after)):
            old, new = asdict(before), asdict(after)
            fields = [name for name in old if old[name] != new[name]]
            yield f"{_name(after)}: differs from the record in {', '.join(fields)}"


def _name(kernel: Kernel) -> str:
    return f"{kernel.name} ({kernel.dtype}, {kernel.arch})"
