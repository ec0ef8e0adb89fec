"""The Markdown table of bench/scaling.md from a record."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from kkspdnn.records.rank_study import RankStudy

_SHOWN = (1, 2, 8, 20, 64, 256, 768)


def table(record: RankStudy) -> Iterator[str]:
    """Return the lines of the table."""
    modelled = {point.ranks: point.seconds for point in record.modelled}
    runs = {run.ranks: median(run.seconds) for run in record.runs}
    names = ("ranks", "rows of each", "a rank's shard, alone", "whole run, mpiexec here", "model")
    yield f"| {' | '.join(names)} | speed-up |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for point in record.points:
        ranks = point.ranks
        if ranks in _SHOWN:
            run = f" {runs[ranks]:.4f} s" if ranks in runs else ""
            speedup = modelled[1] / modelled[ranks]
            yield (
                f"| {ranks} | {point.rows:,} | {point.seconds:.4f} s |{run} | "
                f"{modelled[ranks]:.4f} s | {speedup:.1f} |"
            )
    model = record.model
    yield ""
    yield (
        f"{record.machine}; the median of {len(record.runs[0].seconds)} runs, and the minimum of a "
        f"few times of each shard: fixed {1e3 * model.fixed_seconds:.2f} ms, row "
        f"{1e6 * model.row_seconds:.2f} µs, step {1e3 * model.step_seconds:.2f} ms."
    )
