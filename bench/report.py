"""Tables on the terminal: what was measured, and two records side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from kkspdnn.errors import InputError
from kkspdnn.records.comparison import Comparison, Row
from kkspdnn.records.published import published_rates


def show(record: Comparison, console: Console) -> None:
    """The rows of a record, then what was published of other machines for the same network."""
    network = record.network
    assert network is not None
    table = Table(
        title=f"{network.name}: {network.edges:,} edges, up to {network.inputs:,} input rows, "
        f"{network.dtype}; {record.machine}, {record.threads} threads",
        title_justify="left",
    )
    for name in ("implementation", "threads", "rows", "prepare, s", "inference, s", "edges/s"):
        table.add_column(name, justify="left" if name == "implementation" else "right")
    table.add_column("x serial", justify="right")
    table.add_column("multiplied/s", justify="right")
    serial = next((row for row in record.measured if row.name == "reference"), None)
    for row in record.rows:
        table.add_row(row.label, *_cells(row, serial, network.edges))
    console.print(table)
    for line in published_rates(network.neurons, network.layers):
        console.print(line, highlight=False)


def _cells(row: Row, serial: Row | None, edges: int) -> list[str]:
    if row.status != "ok":
        return ["", "", "", f"{row.status}: {row.why}", "", "", ""]
    assert row.inputs is not None
    least, most = min(row.inference_seconds), max(row.inference_seconds)
    rate = row.rate(edges)
    multiplied = row.edges_multiplied
    return [
        str(row.threads),
        f"{row.inputs:,}",
        f"{(row.prepare_seconds or 0) + (row.compile_seconds or 0):.2f}",
        f"{row.seconds:.3f} ({least:.3f} to {most:.3f})",
        f"{rate:.3g}",
        "" if serial is None else f"{rate / serial.rate(edges):.1f}",
        "" if multiplied is None else f"{multiplied / row.seconds:.3g}",
    ]


@dataclass(frozen=True)
class Change:
    """
    One implementation in two records: how many times as long a row takes in the second.

    ratio: of the medians; lowest, highest: what any two of their runs would give; None where it has
    times in one record only
    """

    label: str
    ratio: float | None
    lowest: float = 0.0
    highest: float = 0.0
    why: str = ""

    def fails(self, threshold: float) -> bool:
        """Whether it has become slower than allowed, or is not there any more."""
        return self.ratio is None or self.ratio > threshold


def changes(before: Comparison, after: Comparison) -> list[Change]:
    """
    Every implementation that the first record has times of.

    InputError where the networks or threads differ: such times say nothing about the code.
    """
    if before.network != after.network:
        raise InputError(
            f"the records are of different networks: {_words(before)} and {_words(after)}"
        )
    if before.threads != after.threads:
        raise InputError(f"the records have {before.threads} and {after.threads} threads")
    found = {row.name: row for row in after.rows}
    return [_change(row, found.get(row.name)) for row in before.measured]


def _words(record: Comparison) -> str:
    network = record.network
    return f"{network.name}, {network.inputs} inputs" if network is not None else "none"


def _change(old: Row, new: Row | None) -> Change:
    if new is None:
        return Change(old.label, None, why="is not in the second record")
    if new.status != "ok":
        return Change(old.label, None, why=f"{new.status}: {new.why}")
    assert old.inputs is not None
    assert new.inputs is not None
    scale = old.inputs / new.inputs
    a, b = old.inference_seconds, new.inference_seconds
    return Change(
        old.label,
        scale * new.seconds / old.seconds,
        scale * min(b) / max(a),
        scale * max(b) / min(a),
    )


def show_changes(found: Iterable[Change], threshold: float, console: Console) -> None:
    """One line for each."""
    table = Table(box=None)
    for name in ("implementation", "time, second / first", "lowest", "highest", ""):
        table.add_column(name, justify="left" if name in ("implementation", "") else "right")
    for each in found:
        if each.ratio is None:
            table.add_row(each.label, "", "", "", f"FAILED: {each.why}")
            continue
        verdict = f"FAILED: above {threshold:g}" if each.fails(threshold) else ""
        cells = (f"{number:.2f}" for number in (each.ratio, each.lowest, each.highest))
        table.add_row(each.label, *cells, verdict)
    console.print(table)
