"""All figures, in the order of a paper's evaluation section."""

from __future__ import annotations

from kkspdnn.figures import alive, poster, pruning, rates, roofline, size, speedup, threads
from kkspdnn.figures.points import Records
from kkspdnn.figures.style import WIDTHS, Chart, pictures, settings
from kkspdnn.records.published import published

__all__ = ["WIDTHS", "charts", "pictures", "settings"]


def charts(records: Records) -> list[Chart]:
    """Those for which the records have what is needed."""
    known = published()
    modules = (rates, speedup, size, threads, roofline, alive, pruning, poster)
    made = [module.chart(records, known) for module in modules]
    return [chart for chart in made if chart is not None]
