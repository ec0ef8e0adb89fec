"""Terminal tables: the rows of one record, and the time ratios of two records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from kkspdnn.errors import InputError
from kkspdnn.records.comparison import Comparison, PeerResult
from kkspdnn.records.published import published_rates


def show(record: Comparison, console: Console) -> None:
    """Print the rows of a record, then published results of other machines for the same network."""
    network = record.network
    assert network is not None
    table = Table(
        title=f"{network.name}: {network.edges:,} edges, up to {network.inputs:,} input rows, "
        f"{network.dtype}; {record.machine}, {record.threads} threads",
        title_justify="left",
    )
    for name in ("implementation", "threads", "rows", "setup, s", "inference, s", "edges/s"):
        table.add_column(name, justify="left" if name == "implementation" else "right")
    table.add_column("x serial", justify="right")
    table.add_column("computed edges/s", justify="right")
    serial = next((row for row in record.measured if row.name == "reference"), None)
    for row in record.rows:
        table.add_row(row.label, *_cells(row, serial, network.edges))
    console.print(table)
    for line in published_rates(network.neurons, network.layers):
        console.print(line, highlight=False)


def _cells(row: PeerResult, serial: PeerResult | None, edges: int) -> list[str]:
    if row.status != "ok":
        return ["", "", "", f"{row.status}: {row.why}", "", "", ""]
    assert row.inputs is not None
    shortest, longest = min(row.inference_seconds), max(row.inference_seconds)
    rate = row.rate(edges)
    computed = row.edges_multiplied
    return [
        str(row.threads),
        f"{row.inputs:,}",
        f"{(row.prepare_seconds or 0) + (row.compile_seconds or 0):.2f}",
        f"{row.seconds:.3f} ({shortest:.3f} to {longest:.3f})",
        f"{rate:.3g}",
        "" if serial is None else f"{rate / serial.rate(edges):.1f}",
        "" if computed is None else f"{computed / row.seconds:.3g}",
    ]


@dataclass(frozen=True)
class Change:
    """The time per input row of one implementation in the second record over that in the first.

    ratio: of the medians; None if one of the records has no time
    lowest, highest: over all pairs of runs
    why: the reason if ratio is None
    """

    label: str
    ratio: float | None
    lowest: float = 0.0
    highest: float = 0.0
    why: str = ""

    def fails(self, threshold: float) -> bool:
        """Whether the ratio is above the threshold, or missing."""
        return self.ratio is None or self.ratio > threshold


def compare(before: Comparison, after: Comparison) -> list[Change]:
    """Return the change of each implementation that has times in the first record.

    Raises InputError if the networks or the numbers of threads differ.
    """
    if before.network != after.network:
        raise InputError(
            f"cannot compare different networks: {_network_text(before)} and {_network_text(after)}"
        )
    if before.threads != after.threads:
        raise InputError(f"cannot compare {before.threads} and {after.threads} threads")
    rows = {row.name: row for row in after.rows}
    return [_change(row, rows.get(row.name)) for row in before.measured]


def _network_text(record: Comparison) -> str:
    network = record.network
    return f"{network.name}, {network.inputs} inputs" if network is not None else "none"


def _change(old: PeerResult, new: PeerResult | None) -> Change:
    if new is None:
        return Change(old.label, None, why="not in the second record")
    if new.status != "ok":
        return Change(old.label, None, why=f"{new.status}: {new.why}")
    assert old.inputs is not None
    assert new.inputs is not None
    scale = old.inputs / new.inputs
    old_times, new_times = old.inference_seconds, new.inference_seconds
    return Change(
        old.label,
        scale * new.seconds / old.seconds,
        scale * min(new_times) / max(old_times),
        scale * max(new_times) / min(old_times),
    )


def show_changes(changes: Iterable[Change], threshold: float, console: Console) -> None:
    """Print one line per change."""
    table = Table(box=None)
    for name in ("implementation", "time, second / first", "lowest", "highest", ""):
        table.add_column(name, justify="left" if name in ("implementation", "") else "right")
    for change in changes:
        if change.ratio is None:
            table.add_row(change.label, "", "", "", f"FAILED: {change.why}")
            continue
        verdict = f"FAILED: above {threshold:g}" if change.fails(threshold) else ""
        cells = (f"{number:.2f}" for number in (change.ratio, change.lowest, change.highest))
        table.add_row(change.label, *cells, verdict)
    console.print(table)
