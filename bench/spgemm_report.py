"""The terminal table of SpGEMM implementations on random networks."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from kkspdnn.records.spgemm_study import SpgemmCase, SpgemmStudy, SpgemmTiming

_OURS = ("spgemm", "none")


def show_spgemm(record: SpgemmStudy, console: Console) -> None:
    """Print the median time of a multiplication of each case and implementation."""
    names = list(dict.fromkeys(row.name for case in record.cases for row in case.rows))
    table = Table(
        title="nanoseconds a multiplication of two nonzeros, median of the runs; "
        f"{record.machine}, {record.threads} threads",
        title_justify="left",
    )
    for name in ("neurons", "edges", "density, %", "last layer, %", "input rows", *names):
        table.add_column(name, justify="right")
    table.add_column("spgemm / best other", justify="right")
    for case in record.cases:
        table.add_row(*_cells(case, names))
    console.print(table)
    for line in _explanations(record):
        console.print(line, highlight=False)


def _cells(case: SpgemmCase, names: Sequence[str]) -> list[str]:
    rows = {row.name: row for row in case.rows}
    ratio = ratio_to_best_other(case)
    return [
        f"{case.neurons:,}",
        f"{case.edges:,}",
        f"{case.density:g}",
        f"{case.densities[-1]:.3g}",
        f"{case.inputs:,}",
        *(_time(rows.get(name)) for name in names),
        "" if ratio is None else f"{ratio:.2f}",
    ]


def _time(row: SpgemmTiming | None) -> str:
    if row is None:
        return ""
    return f"{row.nanoseconds[1]:.3g}" if row.status == "ok" else row.status


def ratio_to_best_other(case: SpgemmCase) -> float | None:
    """Return the median time of kkspdnn's SpGEMM over the shortest of other libraries.

    None if one of them is missing.
    """
    times = {row.name: row.nanoseconds[1] for row in case.measured}
    others = [time for name, time in times.items() if name not in _OURS]
    return times["spgemm"] / min(others) if others and "spgemm" in times else None


def _explanations(record: SpgemmStudy) -> list[str]:
    """Return one line for each reason why an implementation has no time."""
    lines = {
        f"{row.name}: {row.status}: {row.why}": None
        for case in record.cases
        for row in case.rows
        if row.status != "ok"
    }
    return list(lines)
