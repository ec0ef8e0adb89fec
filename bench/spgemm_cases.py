"""The cases of `python -m bench spgemm`: a grid of random networks and their input rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from bench.problem import RandomProblem
from kkspdnn.errors import InputError

NEURONS, EDGES, DENSITIES = (1024, 8192, 65536), (2, 32, 512), (0.1, 1.0, 10.0, 100.0)
"""The default grid; densities are percentages."""

MULTIPLICATIONS = 100_000_000
"""The default number of multiplications a layer."""

_MIN_ROWS, _MAX_ROWS = 64, 60_000
_LIMITS = {"neurons": (32, 65_536), "edges": (2, 512), "densities": (0.1, 100.0)}


@dataclass(frozen=True)
class Grid:
    """All combinations of these sizes.

    neurons: of each layer; edges: of each output neuron; densities: percentages of nonzero inputs
    layers: of each network
    multiplications: the number in the first layer that determines the number of input rows
    """

    neurons: Sequence[int] = NEURONS
    edges: Sequence[int] = EDGES
    densities: Sequence[float] = DENSITIES
    layers: int = 4
    multiplications: int = MULTIPLICATIONS
    seed: int = 0

    def __post_init__(self) -> None:
        for name, (low, high) in _LIMITS.items():
            numbers: Iterable[float] = getattr(self, name)
            for number in numbers:
                if not low <= number <= high:
                    raise InputError(f"--{name} {number:g}: must be from {low:g} to {high:g}")
        for name, low in (("layers", 1), ("multiplications", 1), ("seed", 0)):
            if getattr(self, name) < low:
                raise InputError(f"--{name} {getattr(self, name)}: must be at least {low}")
        if max(self.edges) > min(self.neurons):
            raise InputError(
                f"--edges {max(self.edges)}: a neuron has at most as many edges as there are "
                f"neurons, {min(self.neurons)}"
            )


def spgemm_problems(grid: Grid) -> list[RandomProblem]:
    """Return the problem of each combination, without repetitions."""
    sizes = dict.fromkeys(product(grid.neurons, grid.edges, grid.densities))
    return [_problem(grid, *each) for each in sizes]


def _problem(grid: Grid, neurons: int, edges: int, density: float) -> RandomProblem:
    one_row = RandomProblem(neurons, edges, density, grid.layers, 1, grid.seed)
    rows = round(grid.multiplications / one_row.row_multiplications)
    inputs = min(max(rows, _MIN_ROWS), _MAX_ROWS)
    return RandomProblem(neurons, edges, density, grid.layers, inputs, grid.seed)
