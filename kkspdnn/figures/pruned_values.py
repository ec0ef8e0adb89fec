"""What the figure of pruned networks draws of the records: accuracies, and speed-ups over dense."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import mean, median

import numpy as np

from kkspdnn.choices import METHODS
from kkspdnn.records.pruning_study import Accuracy, Study, Timing

Values = tuple[float, float, float]
"""The lowest, the middle and the highest."""


@dataclass(frozen=True)
class Curve:
    """One pattern or implementation: by sparsity, or by input rows, a value and its spread."""

    label: str
    values: dict[float, Values]


@dataclass(frozen=True)
class Speeds:
    """Where the same was timed, a machine with so many threads or a GPU; short: that in a word or
    two; and what of."""

    where: str
    short: str
    curves: tuple[Curve, ...]


def accuracies_of(studies: Iterable[Study]) -> tuple[list[Curve], Values | None]:
    """Percent by percent, the mean over the seeds between the lowest and the highest, of each
    pattern in the order of METHODS, then of what has it with other blocks; and of the dense
    network."""
    found: dict[str, dict[float, list[float]]] = {}
    for one in (each for study in studies for each in study.accuracies):
        part = round(100 * one.sparsity, 1)
        label = _label(one)
        values = found.setdefault(label, {}).setdefault(part, [])
        values.append(100 * one.accuracy)
    dense = found.pop("dense", {}).get(0.0)
    curves = [
        Curve(pattern, {part: _about(by[part]) for part in sorted(by)})
        for pattern, by in found.items()
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
    return curves, None if dense is None else _about(dense)


def _label(one: Accuracy) -> str:
    if one.pattern != "balanced":
        return one.pattern
    return f"balanced, {one.blocks} blocks" + (" of permuted inputs" if one.permuted else "")


def _about(values: list[float]) -> Values:
    return min(values), mean(values), max(values)


def speeds_of(studies: Iterable[Study]) -> list[Speeds]:
    """For each machine and number of threads, and each GPU."""
    found: dict[tuple[str, str], list[Timing]] = {}
    for study in studies:
        for timing in study.timings:
            found.setdefault(_place(study, timing), []).append(timing)
    made = (Speeds(*place, tuple(_curves(timings))) for place, timings in found.items())
    return [each for each in made if each.curves]


def _place(study: Study, timing: Timing) -> tuple[str, str]:
    if timing.space == "cuda":
        gpu = study.gpu or "a GPU"
        return gpu, gpu.partition(",")[0]
    threads = f"{timing.threads} thread{'s' if timing.threads > 1 else ''}"
    return f"{study.machine}, {threads}", threads


def _curves(timings: list[Timing]) -> list[Curve]:
    """Over the faster of the dense implementations, for the same rows."""
    dense: dict[int, float] = {}
    for each in timings:
        if each.pattern == "dense":
            dense[each.rows] = min(dense.get(each.rows, float("inf")), median(each.seconds))
    found: dict[str, dict[float, Values]] = {}
    for each in timings:
        if each.pattern != "dense" and each.rows in dense:
            label = f"{each.implementation}, {each.pattern}"
            found.setdefault(label, {})[each.rows] = _over(dense[each.rows], each)
    return [Curve(label, values) for label, values in found.items()]


def _over(dense: float, timing: Timing) -> Values:
    # Quartiles: a run that the machine had no time for would hide all others.
    high, middle, low = np.quantile(timing.seconds, (0.25, 0.5, 0.75)).tolist()
    return dense / low, dense / middle, dense / high


def styles(labels: Iterable[str], first: int) -> Mapping[str, int]:
    """A number for each label, from `first` on; the same label has the same in all panels."""
    return {label: first + place for place, label in enumerate(dict.fromkeys(labels))}
