"""The list of all figures, in the order of a paper's evaluation section."""

from __future__ import annotations

from kkspdnn.figures import (
    active_rows,
    batch_size,
    poster,
    problem_size,
    pruning,
    rates,
    roofline,
    scaling,
    speedup,
    spgemm,
)
from kkspdnn.figures.points import Records
from kkspdnn.figures.style import WIDTHS, Chart, pictures, settings
from kkspdnn.records.published import published

__all__ = ["WIDTHS", "charts", "pictures", "settings"]


def charts(records: Records) -> list[Chart]:
    """Return the figures that can be drawn from these records."""
    results = published()
    modules = (
        *(rates, speedup, problem_size, scaling, roofline, active_rows, spgemm),
        *(pruning, batch_size, poster),
    )
    possible = [module.chart(records, results) for module in modules]
    return [chart for chart in possible if chart is not None]
