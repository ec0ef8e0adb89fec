"""Format a report as Markdown tables, and replace the tables in a document."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench.resources.counts import LoopCounts
from bench.resources.record import CHIPS, Kernel, Report
from kkspdnn.errors import InputError

BEGIN, END = "<!-- resources: begin -->", "<!-- resources: end -->"

_MEMORY: tuple[tuple[str, Callable[[Kernel], str]], ...] = (
    ("registers", lambda k: str(k.usage.registers)),
    ("warps per SM", lambda k: str(k.warps)),
    ("stack B", lambda k: str(k.usage.stack_bytes)),
    ("local B", lambda k: str(k.usage.local_bytes)),
    ("spills", lambda k: str(k.spills)),
    ("shared B", lambda k: str(k.usage.shared_bytes)),
    ("instructions", lambda k: str(k.instructions)),
    ("launch", lambda k: k.launch),
)

_LOOP: tuple[tuple[str, Callable[[Kernel, LoopCounts], str]], ...] = (
    ("edges x rows", lambda _, loop: f"{loop.edges} x {loop.rows}"),
    ("B per load", lambda _, loop: _widths(loop.activation_bytes)),
    ("B per index load", lambda _, loop: _widths(loop.index_bytes)),
    ("max in flight", lambda _, loop: str(loop.in_flight)),
    ("latencies", lambda _, loop: f"{loop.latencies:.3g}"),
    ("mean in flight", lambda _, loop: f"{loop.mean_in_flight:.1f}"),
    ("instructions per edge", lambda _, loop: f"{loop.instructions_per_edge:.2f}"),
    ("wavefronts per edge", lambda _, loop: f"{loop.wavefronts_per_edge:.2f}"),
    ("with 8 threads", lambda k, loop: _narrow(k, loop)),
    ("L1 bound", lambda k, loop: _rate(k, "wavefronts", loop.wavefronts_per_edge)),
    ("issue bound", lambda k, loop: _rate(k, "instructions", loop.instructions_per_edge)),
    ("edges in flight per SM", lambda k, loop: f"{k.edges_in_flight(loop):,.0f}"),
)


def tables(report: Report) -> Iterator[str]:
    """Return the lines of the tables, two tables per architecture."""
    yield f"{report.nvcc}, Kokkos {report.kokkos_version}, read with {report.disassembler}."
    for arch in dict.fromkeys(kernel.arch for kernel in report.kernels):
        chip = CHIPS.get(arch)
        bounds = f", bounds for {chip.name}" if chip is not None else ""
        kernels = [kernel for kernel in report.kernels if kernel.arch == arch]
        yield from ("", f"### {arch}: kernels", "")
        yield from _heads([head for head, _ in _MEMORY])
        for kernel in kernels:
            yield _row([*_kernel_cells(kernel), *(cell(kernel) for _, cell in _MEMORY)])
        yield from ("", f"### {arch}: an iteration of the loop over edges{bounds}", "")
        yield from _heads([head for head, _ in _LOOP])
        for kernel in kernels:
            for loop in kernel.loops:
                yield _row([*_kernel_cells(kernel), *(cell(kernel, loop) for _, cell in _LOOP)])


def replaced(document: str, report: Report, name: str) -> str:
    """Return a document with new tables between its two marks; name: for messages.

    Raises InputError unless it has each mark once, BEGIN before END.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in before + after:
        raise InputError(f"{name}: must contain the lines {BEGIN} and {END} once each")
    return "\n".join([before + BEGIN, "", *tables(report), "", END + after])


def update(path: Path, report: Report) -> str:
    """Return the text of a file with the tables of a report. Raises InputError."""
    try:
        return replaced(path.read_text(encoding="utf-8"), report, str(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error


def _heads(heads: Sequence[str]) -> Iterator[str]:
    yield _row(["kernel", "activations", *heads])
    yield _row(["---", "---", *("---" if head == "launch" else "--:" for head in heads)])


def _kernel_cells(kernel: Kernel) -> list[str]:
    return [f"`{kernel.name}`", kernel.dtype]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _widths(widths: Sequence[int]) -> str:
    return ", ".join(map(str, widths))


def _narrow(kernel: Kernel, loop: LoopCounts) -> str:
    """Return the wavefronts per edge with eight threads a neuron, which have several rows each."""
    if not kernel.is_workunit or loop.rows == 1:
        return ""
    return f"{loop.narrow_wavefronts_per_edge:.2f}"


def _rate(kernel: Kernel, resource: str, per_edge: float) -> str:
    """Return the rate in edges per second, of single rows, if this resource is the only limit."""
    chip = CHIPS.get(kernel.arch)
    if chip is None:
        return "unknown"
    return f"{getattr(chip, resource) * 32 / per_edge:.2g}"
