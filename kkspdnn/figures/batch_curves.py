"""The curves of the figure of batch sizes: the time of a row against the rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from kkspdnn.choices import Method
from kkspdnn.figures.pruning_curves import Curve, hardware
from kkspdnn.records.pruning_study import Study, Timing

PATTERN: Method = "unstructured"
"""The pattern of the pruned networks that are drawn."""


@dataclass(frozen=True)
class SparsityPanel:
    """The times with one pruned network.

    percent: of its weights that are pruned
    curves: microseconds of a row by the rows at a time: lowest, median and highest of the rounds
    """

    percent: float
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class BatchTimes:
    """All panels of the figure.

    hardware: the machine and the number of threads, or the GPU
    layers: the neurons of each layer, the input layer first
    dense: curves of the implementations that run the dense network; they are in all panels
    panels: by ascending sparsity
    """

    hardware: str
    layers: tuple[int, ...]
    dense: tuple[Curve, ...]
    panels: tuple[SparsityPanel, ...]


def batch_times(studies: Iterable[Study]) -> BatchTimes | None:
    """Return the times on one machine: that with the most sparsities and numbers of rows.

    Of several numbers of threads, the largest is chosen; of equal measurements, the latest. None if
    no network with PATTERN was timed.
    """
    found: dict[tuple[str, tuple[int, ...]], list[Timing]] = {}
    for study in sorted(studies, key=lambda study: study.created):
        for timing in study.timings:
            key = hardware(study, timing)[0], study.layers
            found.setdefault(key, []).append(timing)
    pruned = {
        key: sizes
        for key, timings in found.items()
        if (sizes := {(t.nominal_sparsity, t.rows) for t in timings if t.pattern == PATTERN})
    }
    if not pruned:
        return None
    chosen = max(pruned, key=lambda key: (len(pruned[key]), found[key][0].threads))
    timings = found[chosen]
    sparsities = sorted({sparsity for sparsity, _ in pruned[chosen]})
    dense = _curves(t for t in timings if t.pattern == "dense")
    panels = tuple(_panel(timings, sparsity) for sparsity in sparsities)
    return BatchTimes(*chosen, tuple(dense), panels)


def _panel(timings: Sequence[Timing], sparsity: float) -> SparsityPanel:
    chosen = [t for t in timings if (t.pattern, t.nominal_sparsity) == (PATTERN, sparsity)]
    return SparsityPanel(100 * chosen[-1].sparsity, tuple(_curves(chosen)))


def _curves(timings: Iterable[Timing]) -> list[Curve]:
    times: dict[str, dict[int, tuple[float, float, float]]] = {}
    for timing in timings:
        microseconds = [1e6 * seconds / timing.rows for seconds in timing.seconds]
        spread = min(microseconds), median(microseconds), max(microseconds)
        times.setdefault(timing.implementation, {})[timing.rows] = spread
    return [
        Curve(label, {float(rows): by_rows[rows] for rows in sorted(by_rows)})
        for label, by_rows in times.items()
    ]
