"""The table of all implementations on one network, including those that did not run."""

from __future__ import annotations

from kkspdnn.figures.chart import Chart
from kkspdnn.figures.comparisons import comparisons_of_one_network
from kkspdnn.figures.hardware import Machine
from kkspdnn.figures.read import Records, row_hardware
from kkspdnn.figures.speedup import REFERENCE
from kkspdnn.figures.table import Cell, Table
from kkspdnn.records.comparison import Comparison
from kkspdnn.records.published import Published

_COLUMNS = (
    *("machine", "measured", "commit", "implementation", "version", "threads", "inputs"),
    *("compile (s)", "prepare (s)"),
    *("inference (s)", "shortest", "longest", "edges/s", "computed edges/s", "note"),
)
_PRINTED = ("machine", "implementation", "threads", "inputs", "inference (s)", "edges/s")


def chart(records: Records, published: Published) -> Chart | None:
    """Return the table of comparisons with the reference; None without them. It has no figure."""
    chosen = comparisons_of_one_network(records, REFERENCE)
    if not chosen:
        return None
    network = chosen[0].record.network
    assert network is not None
    rows = tuple(row for each in chosen for row in _cells(each.record))
    caption = (
        f"All implementations on {network.name} ({network.edges:,} edges, {network.dtype}). Slow "
        "implementations ran on fewer input rows, so rates are comparable and times are not."
    )
    table = Table(caption, _COLUMNS, rows)
    printed = Table(
        caption,
        _PRINTED,
        tuple(_printed(row) for row in rows if row[_COLUMNS.index("edges/s")] is not None),
    )
    sources = frozenset(each.path for each in chosen)
    return Chart("implementations", sources, table, printed=printed)


def _printed(row: tuple[Cell, ...]) -> tuple[Cell, ...]:
    return tuple(row[_COLUMNS.index(name)] for name in _PRINTED)


def _cells(record: Comparison) -> list[tuple[Cell, ...]]:
    assert record.network is not None
    edges = record.network.edges
    host = Machine(False, record.machine).short_name
    origin = record.created[:10], None if record.commit is None else record.commit[:12]
    cells: list[tuple[Cell, ...]] = []
    for row in record.rows:
        if row.status != "ok":
            note = f"{row.status}: {row.why}"
            cells.append((host, *origin, row.label, "", *[None] * 9, note))
            continue
        times = row.inference_seconds
        computed = None if row.edges_multiplied is None else row.edges_multiplied / row.seconds
        machine = row_hardware(record, row).machine.short_name
        own = (machine, *origin, row.label, row.version, row.threads, row.inputs)
        setup = (row.compile_seconds, row.prepare_seconds)
        measured = (row.seconds, min(times), max(times), row.rate(edges), computed)
        cells.append((*own, *setup, *measured, ""))
    return cells
