"""The figure of speed-up over MPI ranks: measured, modelled and published, on all machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kkspdnn.figures.appearance import BLUE, GREEN, GREY, ORANGE, Style, published_style
from kkspdnn.figures.chart import Chart, PanelGrid
from kkspdnn.figures.hardware import Machine
from kkspdnn.figures.points import Values, spread
from kkspdnn.figures.read import Records, Sourced
from kkspdnn.figures.style import draw_grid, error_bar, legend, tick_numbers, write_title
from kkspdnn.figures.table import Cell, Table
from kkspdnn.records.published import NodeSpeedup, Published
from kkspdnn.records.rank_study import ModelledTime, RankStudy, ShardTime
from kkspdnn.units import plural

_RUNS = "measured: all ranks, mpiexec on this machine"
_SHARD = "measured: one rank's shard, computed alone"
_MODEL = "modelled"
_PREDICTED = "modelled, more ranks than cores: a prediction"
_STYLES = {
    _RUNS: Style(BLUE, "o", line="none"),
    _SHARD: Style(GREEN, "^", line="none"),
    _MODEL: Style(ORANGE, "", line="--"),
    _PREDICTED: Style(ORANGE, "D", is_hollow=True, line="none"),
}
_PUBLISHED = replace(published_style(0), line="none")
_PANEL = 2.2, 2.4
_AROUND = 1.3, 0.95


def chart(records: Records, published: Published) -> Chart | None:
    """Return the figure of records of python -m bench.scaling; None without such records."""
    studies = latest_studies(records.rank_studies)
    if not studies:
        return None

    def paint(figure: Figure, wide: bool) -> None:
        _paint(figure, wide, [each.record for each in studies], published.nodes)

    sources = frozenset(each.path for each in studies)
    table = _table([each.record for each in studies], published.nodes)
    return Chart("scaling", sources, table, _grid_of(len(studies)).heights, paint)


def latest_studies(studies: Sequence[Sourced[RankStudy]]) -> list[Sourced[RankStudy]]:
    """Return the latest record of each machine and number of threads, with the same problem.

    The problem, network and input rows, is that of the latest record.
    """
    ordered = sorted(studies, key=lambda each: (each.record.created, each.path))
    if not ordered:
        return []
    last = ordered[-1].record
    latest: dict[tuple[str, int], Sourced[RankStudy]] = {}
    for each in ordered:
        record = each.record
        if (record.network, record.inputs, record.dtype) == (last.network, last.inputs, last.dtype):
            latest[record.machine, record.threads] = each
    return [latest[key] for key in sorted(latest)]


def _grid_of(studies: int) -> PanelGrid:
    return PanelGrid(studies, 1, _PANEL, _AROUND)


def _paint(
    figure: Figure, wide: bool, studies: Sequence[RankStudy], published: NodeSpeedup
) -> None:
    for panel in _grid_of(len(studies)).make(figure, wide, studies):
        study = panel.content
        _draw(panel.axes, study, published)
        name = Machine(False, study.machine).short_name
        panel.axes.set_title(panel.title(f"{name}, {plural(study.threads, 'thread')} per rank"))
        if panel.is_first:
            panel.axes.set_ylabel("speed-up over one rank")
    label = f"published: {published.name}, ranks are nodes"
    styles = _STYLES | {label: _PUBLISHED}
    legend(figure, styles, 2 if wide else 1)
    first = studies[0]
    write_title(
        figure,
        wide,
        f"{first.network}, {plural(first.inputs, 'input row')}, {first.dtype}; input rows "
        "distributed over MPI ranks",
        "mpiexec: median, error bars: lowest to highest of the runs",
        "the model adds imbalance and a barrier to the shards; dotted: ideal",
    )


def _draw(axes: Axes, study: RankStudy, published: NodeSpeedup) -> None:
    ranks = [point.ranks for point in study.points]
    axes.plot(ranks, ranks, color=GREY, linestyle=":", linewidth=0.8)
    modelled = speedups(study.modelled)
    axes.plot(list(modelled), list(modelled.values()), linewidth=1.0, **_STYLES[_MODEL].keywords())
    shards = speedups(study.points)
    axes.plot(list(shards), list(shards.values()), **_STYLES[_SHARD].keywords(3.5))
    style = _STYLES[_RUNS].keywords()
    for ranks_of_run, values in run_speedups(study).items():
        axes.errorbar(ranks_of_run, values[1], yerr=error_bar(values), elinewidth=0.8, **style)
    predicted = {each.ranks: each.speedup for each in study.predictions}
    axes.plot(list(predicted), list(predicted.values()), **_STYLES[_PREDICTED].keywords())
    axes.plot([published.nodes], [published.speedup], **_PUBLISHED.keywords())
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(0.7, None)
    tick_numbers(axes.xaxis, [n for n in ranks if n in (1, 2, 4, 8, 20, 64, 256, 768)])
    tick_numbers(axes.yaxis, [n for n in (1, 10, 100, 1000) if n <= max(ranks)])
    axes.set_xlabel("MPI ranks")
    draw_grid(axes, "both")


def speedups(times: Sequence[ShardTime] | Sequence[ModelledTime]) -> dict[int, float]:
    """Return the speed-ups over the time of one rank, which is the first, by ranks."""
    return {each.ranks: times[0].seconds / each.seconds for each in times}


def run_speedups(study: RankStudy) -> dict[int, Values]:
    """Return the lowest, median and highest speed-up over the median run of one rank, by ranks."""
    _, base, _ = spread(study.runs[0].seconds)
    found = {}
    for run in study.runs:
        shortest, middle, longest = spread(run.seconds)
        found[run.ranks] = base / longest, base / middle, base / shortest
    return found


def _table(studies: Sequence[RankStudy], published: NodeSpeedup) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for study in studies:
        name = Machine(False, study.machine).short_name
        modelled = {each.ranks: each.seconds for each in study.modelled}
        of_model = speedups(study.modelled)
        runs = {run.ranks: median(run.seconds) for run in study.runs}
        for point in study.points:
            n = point.ranks
            own = name, study.threads, n, point.rows, point.seconds
            rows.append((*own, runs.get(n), modelled.get(n), of_model.get(n)))
    first = studies[0]
    return Table(
        f"Time over MPI ranks, {first.network}, {first.inputs:,} input rows, {first.dtype}: of one "
        "rank's shard computed alone (measured), of all ranks with mpiexec on the machine "
        "(measured, median), and of the model, with its speed-up over one rank. "
        f"Published: {published.speedup:g} on {published.nodes} nodes, {published.source}.",
        (
            *("machine", "threads per rank", "ranks", "rows per rank", "shard (s)", "mpiexec (s)"),
            *("model (s)", "speed-up of the model"),
        ),
        tuple(rows),
    )
