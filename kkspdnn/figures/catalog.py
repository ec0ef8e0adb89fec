"""The list of all figures, in the order of a paper's evaluation section."""

from __future__ import annotations

from kkspdnn.figures import (
    active_rows,
    batch_size,
    implementations,
    poster,
    problem_size,
    pruning_accuracy,
    pruning_published,
    pruning_speed,
    rank_scaling,
    rates,
    roofline,
    speedup,
    spgemm,
    thread_scaling,
)
from kkspdnn.figures.chart import Chart
from kkspdnn.figures.read import Records
from kkspdnn.records.published import published


def charts(records: Records) -> list[Chart]:
    """Return the figures and tables that can be drawn from these records."""
    results = published()
    modules = (
        *(
            rates,
            speedup,
            implementations,
            problem_size,
            thread_scaling,
            rank_scaling,
            roofline,
            active_rows,
        ),
        *(spgemm, pruning_accuracy, pruning_speed, pruning_published, batch_size, poster),
    )
    possible = [module.chart(records, results) for module in modules]
    return [chart for chart in possible if chart is not None]
