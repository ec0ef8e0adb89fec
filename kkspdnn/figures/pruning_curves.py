"""The curves of the figures of pruned networks: accuracies, times of a row and speed-ups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

from kkspdnn.choices import METHODS, Method
from kkspdnn.figures.hardware import Hardware, make_hardware, most_threads
from kkspdnn.figures.points import Values, spread
from kkspdnn.figures.read import Sourced
from kkspdnn.records.pruning_study import Accuracy, Study, Timing

SPARSITY = 0.9
"""The requested sparsity of the speed-ups. The figure of batch sizes has all of them."""

_SourcedTiming = tuple[Timing, Path]

DTYPE = "float32"
"""`python -m bench.balanced` has no other dtype."""


@dataclass(frozen=True)
class Curve:
    """The values of one pattern or implementation, by sparsity in percent or by input rows."""

    label: str
    values: dict[float, Values]


@dataclass(frozen=True)
class Accuracies:
    """Accuracies in percent, by sparsity in percent: lowest, mean and highest over the seeds.

    layers: the neurons of each layer, the input layer first
    seeds: the largest number of seeds of a value
    curves: one for each pattern
    dense: of the dense network; None if it was not measured
    """

    layers: tuple[int, ...]
    seeds: int
    curves: tuple[Curve, ...]
    dense: Values | None
    sources: frozenset[Path]


@dataclass(frozen=True)
class MachineTimings:
    """All timings of one network on one machine, with one number of threads.

    layers: the neurons of each layer, the input layer first
    """

    hardware: Hardware
    layers: tuple[int, ...]
    timings: tuple[Timing, ...]
    sources: frozenset[Path]

    @property
    def network(self) -> str:
        """The neurons of each layer, such as 1024-1024-10."""
        return "-".join(map(str, self.layers))

    def select(self, pattern: str, sparsity: float | None = None) -> list[Timing]:
        """Return the timings of a pattern, and of a requested sparsity."""
        return [
            t
            for t in self.timings
            if t.pattern == pattern and sparsity in (None, t.nominal_sparsity)
        ]

    def sparsities(self, pattern: str) -> list[float]:
        """Return the requested sparsities of a pattern."""
        return sorted({t.nominal_sparsity for t in self.select(pattern)})


def accuracies(studies: Iterable[Sourced[Study]]) -> Accuracies | None:
    """Return the accuracies of the network that has most of them; None without accuracies.

    The patterns are in the order of METHODS, followed by further curves of the same patterns, with
    other blocks.
    """
    found = [each for each in studies if each.record.accuracies]
    if not found:
        return None
    counts: Counter[tuple[int, ...]] = Counter()
    for each in found:
        counts[each.record.layers] += len(each.record.accuracies)
    ((layers, _),) = counts.most_common(1)
    chosen = [each for each in found if each.record.layers == layers]
    # A network of several records counts once.
    by_seed: dict[tuple[str, float, int], float] = {}
    for accuracy in (accuracy for each in chosen for accuracy in each.record.accuracies):
        percent = round(100 * accuracy.sparsity, 1)
        by_seed[_label(accuracy), percent, accuracy.seed] = 100 * accuracy.accuracy
    values: dict[str, dict[float, list[float]]] = {}
    for (label, percent, _), value in by_seed.items():
        values.setdefault(label, {}).setdefault(percent, []).append(value)
    seeds = max(len(each) for by_sparsity in values.values() for each in by_sparsity.values())
    dense = values.pop("dense", {}).get(0.0)
    return Accuracies(
        layers,
        seeds,
        tuple(_ordered(values)),
        None if dense is None else _mean_and_range(dense),
        frozenset(each.path for each in chosen),
    )


def _ordered(values: Mapping[str, Mapping[float, list[float]]]) -> list[Curve]:
    curves = [
        Curve(label, {percent: _mean_and_range(each) for percent, each in sorted(found.items())})
        for label, found in values.items()
    ]
    return sorted(curves, key=lambda curve: (METHODS.index(pattern_of(curve)), -len(curve.values)))


def pattern_of(curve: Curve) -> Method:
    """Return the pattern of a curve of accuracies."""
    return next(method for method in METHODS if curve.label.startswith(method))


def _label(accuracy: Accuracy) -> str:
    if accuracy.pattern == "block":
        return "block, 8 x 8"
    if accuracy.pattern != "balanced":
        return accuracy.pattern
    permuted = ", permuted inputs" if accuracy.permuted else ""
    return f"balanced, {accuracy.blocks} blocks{permuted}"


def _mean_and_range(values: list[float]) -> Values:
    return min(values), mean(values), max(values)


def machine_timings(studies: Iterable[Sourced[Study]]) -> list[MachineTimings]:
    """Return the timings of one network on each machine: CPUs first.

    The network is the one with the most timings. Of several numbers of threads, the largest is
    chosen; of timings of the same case, the one in the latest record.
    """
    found: dict[tuple[tuple[int, ...], Hardware], dict[tuple[object, ...], _SourcedTiming]] = {}
    for each in sorted(studies, key=lambda each: (each.record.created, each.path)):
        study = each.record
        for timing in study.timings:
            key = study.layers, _hardware(study, timing)
            case = (timing.implementation, timing.pattern, timing.nominal_sparsity, timing.rows)
            found.setdefault(key, {})[case] = timing, each.path
    if not found:
        return []
    counts: Counter[tuple[int, ...]] = Counter()
    for (layers, _), timings in found.items():
        counts[layers] += len(timings)
    ((layers, _),) = counts.most_common(1)
    best = most_threads(each for key, each in found if key == layers)
    return [
        MachineTimings(
            each,
            layers,
            tuple(timing for timing, _ in found[layers, each].values()),
            frozenset(path for _, path in found[layers, each].values()),
        )
        for each in best
    ]


def _hardware(study: Study, timing: Timing) -> Hardware:
    gpu = (study.gpu or "a GPU") if timing.space == "cuda" else None
    return make_hardware(study.machine, timing.threads, gpu)


def row_times(timings: Iterable[Timing]) -> list[Curve]:
    """Return microseconds per row by batch size, for each implementation."""
    times: dict[str, dict[int, Values]] = {}
    for timing in timings:
        microseconds = [1e6 * seconds / timing.rows for seconds in timing.seconds]
        times.setdefault(timing.implementation, {})[timing.rows] = spread(microseconds)
    return [
        Curve(label, {float(rows): by_rows[rows] for rows in sorted(by_rows)})
        for label, by_rows in times.items()
    ]


def speedups(machine: MachineTimings, pattern: str) -> list[Curve]:
    """Return the speed-ups over the fastest dense implementation with the same rows.

    Of networks that were pruned to SPARSITY, by batch size: lowest, median and highest.
    """
    dense: dict[int, float] = {}
    for timing in machine.select("dense"):
        best = dense.get(timing.rows, float("inf"))
        dense[timing.rows] = min(best, median(timing.seconds))
    found: dict[str, dict[float, Values]] = {}
    for timing in sorted(machine.select(pattern, SPARSITY), key=lambda t: t.rows):
        if timing.rows in dense:
            values = _speedup(dense[timing.rows], timing)
            found.setdefault(timing.implementation, {})[timing.rows] = values
    return [Curve(label, values) for label, values in found.items()]


def _speedup(dense: float, timing: Timing) -> Values:
    shortest, middle, longest = spread(timing.seconds)
    return dense / longest, dense / middle, dense / shortest


def sources_of_machines(machines: Sequence[MachineTimings]) -> frozenset[Path]:
    """Return the files of timings."""
    return frozenset(path for machine in machines for path in machine.sources)
