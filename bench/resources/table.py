"""A report as Markdown tables, and their place in a document."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench.resources.record import CHIPS, Kernel, Report
from kkspdnn.errors import InputError

BEGIN, END = "<!-- resources: begin -->", "<!-- resources: end -->"

_Column = tuple[str, Callable[[Kernel], str]]

_MEMORY: tuple[_Column, ...] = (
    ("registers", lambda k: str(k.usage.registers)),
    ("warps an SM", lambda k: str(k.warps)),
    ("stack B", lambda k: str(k.usage.stack_bytes)),
    ("local B", lambda k: str(k.usage.local_bytes)),
    ("spills", lambda k: str(k.spills)),
    ("shared B", lambda k: str(k.usage.shared_bytes)),
    ("instructions", lambda k: str(k.instructions)),
    ("launch", lambda k: k.launch),
)

_LOOP: tuple[_Column, ...] = (
    ("edges x rows", lambda k: f"{k.loop.edges} x {k.loop.rows}"),
    ("B a load", lambda k: _widths(k.loop.activation_bytes)),
    ("B an index load", lambda k: _widths(k.loop.index_bytes)),
    ("most in flight", lambda k: str(k.loop.in_flight)),
    ("latencies", lambda k: f"{k.loop.latencies:.3g}"),
    ("mean in flight", lambda k: f"{k.loop.mean_in_flight:.1f}"),
    ("instructions an edge", lambda k: f"{k.loop.instructions_per_edge:.2f}"),
    ("wavefronts an edge", lambda k: f"{k.loop.wavefronts_per_edge:.2f}"),
    ("L1 bound", lambda k: _rate(k, "wavefronts", k.loop.wavefronts_per_edge)),
    ("issue bound", lambda k: _rate(k, "instructions", k.loop.instructions_per_edge)),
    ("edges in flight an SM", lambda k: f"{k.edges_in_flight:,.0f}"),
)


def tables(report: Report) -> Iterator[str]:
    """The tables line by line, two for each architecture."""
    yield f"{report.nvcc}, Kokkos {report.kokkos_version}, read with {report.disassembler}."
    for arch in dict.fromkeys(each.arch for each in report.kernels):
        chip = CHIPS.get(arch)
        bounds = f", bounds for {chip.name}" if chip is not None else ""
        kernels = [each for each in report.kernels if each.arch == arch]
        for title, columns in (
            (f"{arch}: the kernel", _MEMORY),
            (f"{arch}: an iteration of its loop over edges{bounds}", _LOOP),
        ):
            yield ""
            yield f"### {title}"
            yield ""
            yield from _table(kernels, columns)


def replaced(document: str, report: Report, name: str) -> str:
    """A document with the tables between its two marks; name: of the document, for messages.

    Raises InputError where it does not have each mark once, in their order.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in before + after:
        raise InputError(f"{name}: must have the lines {BEGIN} and {END} once each")
    return "\n".join([before + BEGIN, "", *tables(report), "", END + after])


def update(path: Path, report: Report) -> str:
    """The text of a document with the tables of a report; raises InputError."""
    try:
        return replaced(path.read_text(encoding="utf-8"), report, str(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error


def _table(kernels: Sequence[Kernel], columns: Sequence[_Column]) -> Iterator[str]:
    yield _row(["kernel", "activations", *(head for head, _ in columns)])
    yield _row(["---", "---", *("---" if head == "launch" else "--:" for head, _ in columns)])
    for each in kernels:
        yield _row([f"`{each.name}`", each.dtype, *(cell(each) for _, cell in columns)])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _widths(widths: Sequence[int]) -> str:
    return ", ".join(map(str, widths))


def _rate(kernel: Kernel, what: str, per_edge: float) -> str:
    """Edges of single rows a second where a chip does nothing but this."""
    chip = CHIPS.get(kernel.arch)
    if chip is None:
        return "unknown"
    return f"{getattr(chip, what) * 32 / per_edge:.2g}"
