"""The figure of the time of a multiplication in SpGEMM on random networks, on all machines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log10
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import NullLocator

from kkspdnn.figures.appearance import Style, implementation_styles
from kkspdnn.figures.chart import Chart
from kkspdnn.figures.hardware import Hardware, make_hardware, single_threaded
from kkspdnn.figures.points import Values
from kkspdnn.figures.read import Records, Sourced
from kkspdnn.figures.style import (
    MAX_HEIGHT,
    draw_curve,
    draw_grid,
    legend,
    letter,
    log_ticks,
    write_title,
)
from kkspdnn.figures.table import Table, pivot
from kkspdnn.records.published import Published
from kkspdnn.records.spgemm_study import SpgemmCase, SpgemmStudy
from kkspdnn.units import plural

_NAMES = ("spgemm", "none", "scipy", "graphblas", "mkl", "kokkos-kernels", "cusparse")
"""The implementations in the order of the legend."""

_DTYPE = "float32"
"""`python -m bench spgemm` has no other dtype."""

Sizes = tuple[int, int, float]
"""Neurons, edges and density of a case."""


@dataclass(frozen=True)
class SpgemmGrid:
    """The cases of one machine; its panels have one number of neurons and of edges each.

    sources: the files of the cases
    """

    hardware: Hardware
    layers: int
    cases: tuple[SpgemmCase, ...]
    sources: frozenset[Path]

    @property
    def neurons(self) -> list[int]:
        """The columns of the grid."""
        return sorted({case.neurons for case in self.cases})

    @property
    def edges(self) -> list[int]:
        """The rows of the grid."""
        return sorted({case.edges for case in self.cases})

    def curves(self, neurons: int, edges: int) -> dict[str, dict[float, Values]]:
        """Return nanoseconds of a multiplication by density, for each implementation."""
        found: dict[str, dict[float, Values]] = {}
        for case in self.cases:
            if (case.neurons, case.edges) == (neurons, edges):
                for row in case.measured:
                    found.setdefault(row.name, {})[case.density] = row.nanoseconds
        return {name: dict(sorted(times.items())) for name, times in found.items()}


def chart(records: Records, published: Published) -> Chart | None:
    """Return the figure of records of python -m bench spgemm; None without such records."""
    grids = spgemm_grids(records.spgemm_studies)
    if not grids:
        return None
    labels = _labels(grids)

    def paint(figure: Figure, wide: bool) -> None:
        _paint(figure, wide, grids, labels)

    heights = _height(grids, labels, False), _height(grids, labels, True)
    sources = frozenset(path for each in grids for path in each.sources)
    table = _table(grids)
    return Chart("spgemm", sources, table, heights, paint, _printed(table))


def spgemm_grids(studies: Sequence[Sourced[SpgemmStudy]]) -> list[SpgemmGrid]:
    """Return the cases of each machine: CPUs first.

    Those with the number of threads and layers that most cases have are chosen; of equally many,
    those with the most threads. Of cases of the same sizes, that of the latest record is kept.
    """
    found: dict[tuple[Hardware, int], dict[Sizes, tuple[SpgemmCase, Path]]] = {}
    for study in sorted(studies, key=lambda each: (each.record.created, each.path)):
        for case in study.record.cases:
            for machine, own in _by_hardware(study.record, case):
                sizes = (case.neurons, case.edges, case.density)
                found.setdefault((machine, case.layers), {})[sizes] = own, study.path
    best: dict[object, tuple[Hardware, int]] = {}
    for key in sorted(found, key=lambda key: (len(found[key]), key[0].threads)):
        best[key[0].machine] = key
    grids = []
    for machine_hardware, layers in sorted(best.values()):
        by_size = found[machine_hardware, layers]
        cases = tuple(by_size[sizes][0] for sizes in sorted(by_size))
        sources = frozenset(path for _, path in by_size.values())
        grids.append(SpgemmGrid(machine_hardware, layers, cases, sources))
    return grids


def _by_hardware(record: SpgemmStudy, case: SpgemmCase) -> Iterator[tuple[Hardware, SpgemmCase]]:
    """Yield the case with the measured implementations of the CPU, then with those of the GPU."""
    for on_gpu, gpu in ((False, None), (True, record.gpu or "a GPU")):
        rows = tuple(row for row in case.measured if row.gpu == on_gpu)
        if rows:
            yield make_hardware(record.machine, record.threads, gpu), replace(case, rows=rows)


def _labels(grids: Iterable[SpgemmGrid]) -> dict[str, str]:
    """Return the labels of the implementations by name: known ones first, then the others."""
    rows = [row for each in grids for case in each.cases for row in case.measured]
    labels = {row.name: row.label for row in rows}
    return {name: labels[name] for name in (*_NAMES, *labels) if name in labels}


def _columns(grids: Sequence[SpgemmGrid], wide: bool) -> int:
    """Return how many grids are side by side."""
    return 2 if wide and len(grids) > 1 else 1


def _height(grids: Sequence[SpgemmGrid], labels: Mapping[str, str], wide: bool) -> float:
    columns = _columns(grids, wide)
    panel = 1.2 if wide and columns == 1 else 0.95
    rows = -(-len(grids) // columns)
    edges = max(len(each.edges) for each in grids)
    entries = -(-len(labels) // (3 if wide else 2))
    return min(MAX_HEIGHT, rows * (panel * edges + 0.65) + 0.45 + 0.14 * entries)


def _paint(
    figure: Figure, wide: bool, grids: Sequence[SpgemmGrid], labels: Mapping[str, str]
) -> None:
    columns = _columns(grids, wide)
    by_name = implementation_styles(labels)
    subfigures = figure.subfigures(-(-len(grids) // columns), columns, squeeze=False).ravel()
    for index, (subfigure, each) in enumerate(zip(subfigures, grids, strict=False)):
        _paint_grid(subfigure, each, by_name, wide and columns == 1)
        name = f"{letter(index)} " if len(grids) > 1 else ""
        subfigure.suptitle(f"{name}{each.hardware.title}", fontsize=7.5, x=0.02, ha="left")
    layers = ", ".join(plural(number, "layer") for number in sorted({g.layers for g in grids}))
    rows = [row for each in grids for case in each.cases for row in case.measured]
    threads = single_threaded((row.label, row.threads or 0) for row in rows)
    write_title(
        figure,
        wide,
        f"random networks of {layers}, {_DTYPE}; edges: per output neuron{threads}",
        "median; error bars: lowest to highest of the runs",
    )
    legend(figure, {labels[name]: by_name[name] for name in labels}, 3 if wide else 2)


def _paint_grid(
    subfigure: SubFigure, each: SpgemmGrid, by_name: Mapping[str, Style], is_large: bool
) -> None:
    size = 7.0 if is_large else 6.0
    grid_of_axes = subfigure.subplots(
        len(each.edges), len(each.neurons), squeeze=False, sharex=True, sharey=True
    )
    for row, edges in enumerate(each.edges):
        for column, neurons in enumerate(each.neurons):
            axes: Axes = grid_of_axes[row][column]
            for name, times in each.curves(neurons, edges).items():
                draw_curve(axes, times, by_name[name], size=2.8, width=0.9)
            draw_grid(axes, "both")
            if row == 0:
                axes.set_title(f"{neurons:,} neurons", fontsize=size, loc="center")
            if column == len(each.neurons) - 1:
                axes.annotate(
                    f"{edges:,} edges",
                    (1.02, 0.5),
                    xycoords="axes fraction",
                    fontsize=size,
                    rotation=270,
                    va="center",
                )
    first = grid_of_axes[0][0]
    first.set_xscale("log")
    first.set_yscale("log")
    log_ticks(first.yaxis)
    labelled = labelled_densities({case.density for case in each.cases})
    first.set_xticks(labelled, [f"{density:g}" for density in labelled])
    first.xaxis.set_minor_locator(NullLocator())
    for axes in grid_of_axes.ravel():
        axes.tick_params(labelsize=size)
    subfigure.supxlabel("nonzero inputs (%)", fontsize=size)
    subfigure.supylabel("time per multiplication (ns)", fontsize=size)


def labelled_densities(densities: Iterable[float]) -> list[float]:
    """Return the densities with tick labels: powers of ten if there are several, as the labels of
    all densities would overlap."""
    found = list(densities)
    powers = [density for density in found if log10(density).is_integer()]
    return sorted(powers if len(powers) > 1 else found)


def _table(grids: Sequence[SpgemmGrid]) -> Table:
    rows = []
    for each in grids:
        for case in each.cases:
            sizes = (case.neurons, case.edges, case.density, round(case.densities[-1], 3))
            for row in case.measured:
                low, middle, high = row.nanoseconds
                own = (row.label, row.threads, row.inputs, middle, low, high)
                rows.append((each.hardware.title, *sizes, *own))
    return Table(
        f"SpGEMM on random networks, {_DTYPE}: time of a multiplication of two nonzeros, median, "
        "lowest and highest of the runs. Edges are those of a neuron. Each implementation keeps "
        "rows and network in its own format; bias and ReLU are included.",
        (
            *("machine", "neurons", "edges", "nonzero inputs (%)", "nonzero outputs (%)"),
            *("implementation", "threads", "inputs", "time (ns)", "lowest", "highest"),
        ),
        tuple(rows),
    )


def _printed(table: Table) -> Table:
    """Return the medians, with a column for each implementation."""
    place = table.columns.index("implementation")
    rows = tuple((*row[:place], _short(row[place]), *row[place + 1 :]) for row in table.rows)
    columns = tuple(name.replace("nonzero inputs (%)", "inputs (%)") for name in table.columns)
    medians = Table(f"{table.caption} Medians in ns.", columns, rows).without(
        "nonzero outputs (%)", "threads", "inputs", "lowest", "highest"
    )
    return pivot(medians, "implementation", "time (ns)")


def _short(label: object) -> str:
    names = {"SuiteSparse:GraphBLAS": "GraphBLAS", "Kokkos Kernels, SpGEMM": "Kokkos Kernels"}
    text = str(label).replace(", CSR x CSR", "").replace("kkspdnn, ", "")
    return names.get(str(label), text.replace(", no early exit", ""))
