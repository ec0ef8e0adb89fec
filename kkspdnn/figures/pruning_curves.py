"""The curves of the figure of pruned networks: accuracies, and speed-ups over dense."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import mean, median

import numpy as np

from kkspdnn.choices import METHODS
from kkspdnn.records.pruning_study import Accuracy, Study, Timing

ROWS = (1, 64, 4096)
SPARSITY = 0.9
"""Input rows and requested sparsity of the speed-ups. The figure of batch sizes has all of them."""

Values = tuple[float, float, float]
"""The lowest, the middle (mean or median) and the highest value."""


@dataclass(frozen=True)
class Curve:
    """The values of one pattern or implementation, by sparsity in percent or by input rows."""

    label: str
    values: dict[float, Values]


@dataclass(frozen=True)
class SpeedupPanel:
    """Speed-ups that were measured on the same hardware.

    hardware: the machine and the number of threads, or the GPU
    short_name: of the hardware, for the axis
    curves: one for each implementation and pattern
    """

    hardware: str
    short_name: str
    curves: tuple[Curve, ...]


def accuracy_curves(studies: Iterable[Study]) -> tuple[list[Curve], Values | None]:
    """Return the accuracies in percent of all patterns, and those of the dense network.

    The values are the lowest, mean and highest over the seeds. The patterns are in the order of
    METHODS, followed by further curves of the same patterns, with other blocks.
    """
    accuracies: dict[str, dict[float, list[float]]] = {}
    for accuracy in (each for study in studies for each in study.accuracies):
        percent = round(100 * accuracy.sparsity, 1)
        by_sparsity = accuracies.setdefault(_label(accuracy), {})
        by_sparsity.setdefault(percent, []).append(100 * accuracy.accuracy)
    dense = accuracies.pop("dense", {}).get(0.0)
    curves = [
        Curve(label, {percent: _spread(by_sparsity[percent]) for percent in sorted(by_sparsity)})
        for label, by_sparsity in accuracies.items()
    ]
    patterns = [curve.label.partition(",")[0] for curve in curves]
    first = {
        pattern: max(
            (c for c, p in zip(curves, patterns, strict=True) if p == pattern),
            key=lambda curve: len(curve.values),
        )
        for pattern in sorted(patterns, key=METHODS.index)
    }
    curves = [*first.values(), *(each for each in curves if each not in first.values())]
    return curves, None if dense is None else _spread(dense)


def _label(accuracy: Accuracy) -> str:
    if accuracy.pattern != "balanced":
        return accuracy.pattern
    permuted = " of permuted inputs" if accuracy.permuted else ""
    return f"balanced, {accuracy.blocks} blocks{permuted}"


def _spread(values: list[float]) -> Values:
    return min(values), mean(values), max(values)


def speedup_panels(studies: Iterable[Study]) -> list[SpeedupPanel]:
    """Return a panel for each machine and number of threads, and for each GPU.

    Only timings of ROWS, and of the dense network and those that were pruned to SPARSITY, are used.
    """
    timings: dict[tuple[str, str], list[Timing]] = {}
    for study in studies:
        for timing in filter(_has_panel, study.timings):
            timings.setdefault(hardware(study, timing), []).append(timing)
    panels = (SpeedupPanel(*names, tuple(_curves(each))) for names, each in timings.items())
    return [panel for panel in panels if panel.curves]


def _has_panel(timing: Timing) -> bool:
    return timing.rows in ROWS and timing.nominal_sparsity in (0.0, SPARSITY)


def hardware(study: Study, timing: Timing) -> tuple[str, str]:
    """Return the name of the hardware of a timing and its short name."""
    if timing.space == "cuda":
        gpu = study.gpu or "a GPU"
        return gpu, gpu.partition(",")[0]
    threads = f"{timing.threads} thread{'s' if timing.threads > 1 else ''}"
    return f"{study.machine}, {threads}", threads


def _curves(timings: list[Timing]) -> list[Curve]:
    """Return the speed-ups over the fastest dense implementation with the same rows."""
    dense: dict[int, float] = {}
    for timing in timings:
        if timing.pattern == "dense":
            best = dense.get(timing.rows, float("inf"))
            dense[timing.rows] = min(best, median(timing.seconds))
    speedups: dict[str, dict[float, Values]] = {}
    for timing in timings:
        if timing.pattern != "dense" and timing.rows in dense:
            label = f"{timing.implementation}, {timing.pattern}"
            speedups.setdefault(label, {})[timing.rows] = _speedup(dense[timing.rows], timing)
    return [Curve(label, values) for label, values in speedups.items()]


def _speedup(dense: float, timing: Timing) -> Values:
    # Quartiles, because a run that the machine delayed would hide all others.
    high, middle, low = np.quantile(timing.seconds, (0.25, 0.5, 0.75)).tolist()
    return dense / low, dense / middle, dense / high


def style_numbers(labels: Iterable[str], first: int) -> Mapping[str, int]:
    """Return a style number for each label, from `first` on; equal labels share a number."""
    return {label: first + index for index, label in enumerate(dict.fromkeys(labels))}
