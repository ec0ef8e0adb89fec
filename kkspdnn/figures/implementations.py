"""The table of all implementations of one comparison, also of those that did not run."""

from __future__ import annotations

from kkspdnn.figures.points import Records, widest
from kkspdnn.figures.table import Cell, Table
from kkspdnn.records.comparison import Comparison

_COLUMNS = (
    *("implementation", "version", "threads", "inputs", "compile (s)", "prepare (s)"),
    *("inference (s)", "shortest", "longest", "edges/s", "multiplied edges/s", "note"),
)


def table(records: Records) -> Table | None:
    """Of the comparison with the most implementations; None where there is none."""
    chosen = widest(records)
    if chosen is None or chosen.network is None:
        return None
    return Table(_caption(chosen), _COLUMNS, tuple(_cells(chosen)))


def _caption(record: Comparison) -> str:
    network = record.network
    assert network is not None
    return (
        f"All implementations on {network.name} ({network.edges:,} edges, {network.dtype}), "
        f"{record.machine}, {record.threads} threads. Slow ones ran over fewer input rows, so "
        "rates compare and times do not."
    )


def _cells(record: Comparison) -> list[tuple[Cell, ...]]:
    assert record.network is not None
    edges = record.network.edges
    found: list[tuple[Cell, ...]] = []
    for row in record.rows:
        if row.status != "ok":
            note = f"{row.status}: {row.why}"
            found.append((row.label, "", *[None] * 9, note))
            continue
        times = row.inference_seconds
        multiplied = None if row.edges_multiplied is None else row.edges_multiplied / row.seconds
        once = (row.compile_seconds, row.prepare_seconds)
        measured = (row.seconds, min(times), max(times), row.rate(edges), multiplied)
        found.append((row.label, row.version, row.threads, row.inputs, *once, *measured, ""))
    return found
