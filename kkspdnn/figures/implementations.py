"""The table of all implementations of one comparison, including those that did not run."""

from __future__ import annotations

from kkspdnn.figures.points import Records, largest_comparison
from kkspdnn.figures.table import Cell, Table
from kkspdnn.records.comparison import Comparison

_COLUMNS = (
    *("implementation", "version", "threads", "inputs", "compile (s)", "prepare (s)"),
    *("inference (s)", "shortest", "longest", "edges/s", "computed edges/s", "note"),
)


def table(records: Records) -> Table | None:
    """Return the table of the comparison with the most implementations; None without one."""
    chosen = largest_comparison(records)
    if chosen is None or chosen.network is None:
        return None
    return Table(_caption(chosen), _COLUMNS, tuple(_cells(chosen)))


def _caption(record: Comparison) -> str:
    network = record.network
    assert network is not None
    return (
        f"All implementations on {network.name} ({network.edges:,} edges, {network.dtype}), "
        f"{record.machine}, {record.threads} threads. Slow implementations ran on fewer input "
        "rows, so rates are comparable and times are not."
    )


def _cells(record: Comparison) -> list[tuple[Cell, ...]]:
    assert record.network is not None
    edges = record.network.edges
    cells: list[tuple[Cell, ...]] = []
    for row in record.rows:
        if row.status != "ok":
            note = f"{row.status}: {row.why}"
            cells.append((row.label, "", *[None] * 9, note))
            continue
        times = row.inference_seconds
        computed = None if row.edges_multiplied is None else row.edges_multiplied / row.seconds
        setup = (row.compile_seconds, row.prepare_seconds)
        measured = (row.seconds, min(times), max(times), row.rate(edges), computed)
        cells.append((row.label, row.version, row.threads, row.inputs, *setup, *measured, ""))
    return cells
