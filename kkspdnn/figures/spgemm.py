"""The figure of the time of a multiplication in SpGEMM on random networks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log10

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from kkspdnn.figures.points import Records
from kkspdnn.figures.style import COLOURS, LINES, MARKERS, Chart, grid, legend, log_ticks, shifted
from kkspdnn.figures.table import Table
from kkspdnn.records.published import Published
from kkspdnn.records.spgemm_study import SpgemmCase, SpgemmStudy

_NAMES = ("spgemm", "none", "scipy", "graphblas", "mkl", "kokkos-kernels", "cusparse")
"""The implementations in the order of the legend. An implementation has the same style whichever
others are in the records."""


@dataclass(frozen=True)
class _Hardware:
    machine: str
    threads: int
    layers: int


@dataclass(frozen=True)
class _Curve:
    """Nanoseconds of a multiplication by density, lowest, median and highest."""

    name: str
    label: str
    times: dict[float, tuple[float, float, float]]


def chart(records: Records, published: Published) -> Chart | None:
    """Return the figure for the machine, threads and layers with the most cases.

    None without a record of python -m bench spgemm.
    """
    hardware, cases = _largest(records.spgemm_studies)
    if not any(case.measured for case in cases):
        return None
    neurons = sorted({case.neurons for case in cases})
    edges = sorted({case.edges for case in cases})
    names = _names(cases)

    def paint(figure: Figure, wide: bool) -> None:
        _paint(figure, wide, cases, neurons, edges, names)

    legend_rows = -(-len(names) // 2), -(-len(names) // 3)
    heights = 1.0 * len(edges) + 0.7 + 0.14 * legend_rows[0], 1.25 * len(edges) + 1.1
    return Chart("spgemm", _table(hardware, cases), heights, paint)


def _largest(studies: Sequence[SpgemmStudy]) -> tuple[_Hardware, list[SpgemmCase]]:
    """Return the cases of one machine; of cases of the same sizes, that of the latest record."""
    found: dict[_Hardware, dict[tuple[int, int, float], SpgemmCase]] = {}
    for study in sorted(studies, key=lambda study: study.created):
        for case in study.cases:
            hardware = _Hardware(study.machine, study.threads, case.layers)
            sizes = (case.neurons, case.edges, case.density)
            found.setdefault(hardware, {})[sizes] = case
    if not found:
        return _Hardware("", 0, 0), []
    ((hardware, _),) = Counter({each: len(cases) for each, cases in found.items()}).most_common(1)
    return hardware, [case for _, case in sorted(found[hardware].items())]


def _names(cases: Iterable[SpgemmCase]) -> list[str]:
    """Return the names of the measured implementations: known ones first, then the others."""
    measured = dict.fromkeys(row.name for case in cases for row in case.measured)
    known = [name for name in _NAMES if name in measured]
    return [*known, *(name for name in measured if name not in _NAMES)]


def _curves(cases: Iterable[SpgemmCase], names: Sequence[str]) -> list[_Curve]:
    curves = {name: _Curve(name, "", {}) for name in names}
    for case in cases:
        for row in case.measured:
            times = {**curves[row.name].times, case.density: row.nanoseconds}
            curves[row.name] = _Curve(row.name, row.label, times)
    return [curve for curve in curves.values() if curve.times]


def _paint(
    figure: Figure,
    wide: bool,
    cases: Sequence[SpgemmCase],
    neurons: Sequence[int],
    edges: Sequence[int],
    names: Sequence[str],
) -> None:
    panels = figure.subplots(len(edges), len(neurons), squeeze=False, sharex=True, sharey=True)
    for row, edge_count in enumerate(edges):
        for column, neuron_count in enumerate(neurons):
            axes = panels[row][column]
            chosen = [c for c in cases if (c.neurons, c.edges) == (neuron_count, edge_count)]
            _paint_panel(axes, _curves(chosen, names), names)
            if row == 0:
                axes.set_title(f"{neuron_count:,} neurons", fontsize=8 if wide else 7)
            if column == len(neurons) - 1:
                text = f"{edge_count:,} edges"
                style = {"fontsize": 8 if wide else 7, "rotation": 270, "va": "center"}
                axes.annotate(text, (1.02, 0.5), xycoords="axes fraction", **style)
    first = panels[0][0]
    first.set_xscale("log")
    first.set_yscale("log")
    log_ticks(first.yaxis)
    labelled = _labelled({case.density for case in cases})
    first.set_xticks(labelled, [f"{density:g}" for density in labelled])
    first.xaxis.set_minor_locator(NullLocator())
    first.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    figure.set_layout_engine("constrained", w_pad=0.02, wspace=0.0)
    for axes in panels.ravel():
        axes.tick_params(labelsize=7 if wide else 6)
    for axes in panels[-1]:
        axes.set_xlabel("nonzero inputs (%)", fontsize=8 if wide else 7)
    figure.supylabel("time per multiplication (ns)", fontsize=8)
    legend(figure, 3 if wide else 2)


def _labelled(densities: Iterable[float]) -> list[float]:
    """Return the densities with tick labels: powers of ten if there are several, as the labels of
    all densities would overlap."""
    powers = [density for density in densities if log10(density).is_integer()]
    return sorted(powers if len(powers) > 1 else densities)


def _paint_panel(axes: Axes, curves: Sequence[_Curve], names: Sequence[str]) -> None:
    for curve in curves:
        style = _style_number(curve.name, names)
        densities = sorted(curve.times)
        times = [curve.times[density] for density in densities]
        axes.errorbar(
            densities,
            [median for _, median, _ in times],
            yerr=[[m - low for low, m, _ in times], [high - m for _, m, high in times]],
            color=COLOURS[style % len(COLOURS)],
            marker=MARKERS[shifted(style) % len(MARKERS)],
            linestyle=LINES[shifted(style) % len(LINES)],
            markersize=3,
            linewidth=1,
            elinewidth=0.8,
            capsize=1.5,
            label=curve.label,
        )
    grid(axes, "both")


def _style_number(name: str, names: Sequence[str]) -> int:
    if name in _NAMES:
        return _NAMES.index(name)
    return len(_NAMES) + [each for each in names if each not in _NAMES].index(name)


def _table(hardware: _Hardware, cases: Iterable[SpgemmCase]) -> Table:
    rows = []
    for case in cases:
        sizes = (case.neurons, case.edges, case.density, round(case.densities[-1], 3))
        for row in case.measured:
            low, middle, high = row.nanoseconds
            rows.append((*sizes, row.label, row.threads, row.inputs, middle, low, high))
    return Table(
        f"SpGEMM on random networks of {hardware.layers} layers, {hardware.machine}, "
        f"{hardware.threads} threads: time of a multiplication of two nonzeros, median, lowest and "
        "highest of the runs. Edges are those of a neuron. Each implementation keeps rows and "
        "network in its own format; bias and ReLU are included.",
        (
            *("neurons", "edges", "nonzero inputs (%)", "nonzero outputs (%)", "implementation"),
            *("threads", "inputs", "time (ns)", "lowest", "highest"),
        ),
        tuple(rows),
    )
