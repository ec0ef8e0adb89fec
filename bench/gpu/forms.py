"""The rate of each form of packed layers: equal or different weights, with and without groups
of output neurons with the same inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
from numpy.typing import NDArray

import kkspdnn as kk
from bench.ceiling.measure import timed
from bench.ceiling.tiled_problem import TiledProblem
from bench.ceiling.workunit import FusedWorkunit
from bench.gpu.networks import different_weights
from kkspdnn.choices import GroupOutputs
from kkspdnn.device.space import Space

LAYERS = 16
RUNS = 5
NEURONS = 1024
DEPTHS = 1, 16
"""Layers a launch."""


@dataclass(frozen=True)
class Form:
    """A network with the edges of a RadiX-Net, and how its layers are packed.

    weights: equal; different; or ragged: different, and a neuron with fewer edges
    group_outputs: see `LaunchParameters`
    workunit: that computes the timed layers
    """

    weights: str
    group_outputs: GroupOutputs
    workunit: str


def thread_text(vector_length: int, lanes_per_thread: int) -> str:
    """Return the threads and lanes of a neuron, for a line of a table; empty on a CPU."""
    return f"{vector_length} threads x {lanes_per_thread} lanes, " if lanes_per_thread else ""


@dataclass(frozen=True)
class FormRate:
    """The median rate of a form in a shape of a launch; every edge is computed.

    same: the values equal those of the first form with the same weights
    """

    weights: str
    group_outputs: GroupOutputs
    workunit: str
    rows: int
    vector_length: int
    lanes_per_thread: int
    team_threads: int
    layers_a_launch: int
    edges_per_second: float
    same: bool

    def line(self) -> str:
        """Return the line of the table."""
        threads = thread_text(self.vector_length, self.lanes_per_thread)
        multiplied = ""
        if self.weights == "equal" and self.group_outputs == "all":
            multiplied = "; loads and multiplies every weight, no neurons are merged"
        return (
            f"{self.workunit:<12} {self.weights + ' weights:':<18} {threads}"
            f"{self.layers_a_launch} layers per launch: {self.edges_per_second:.3g} edges/s"
            f"{multiplied}{'' if self.same else ', FAIL: DIFFERENT VALUES'}"
        )


_NETWORKS: dict[str, Callable[[], kk.Network]] = {
    "equal": lambda: kk.radixnet(NEURONS, LAYERS + 1),
    "different": lambda: different_weights(NEURONS, LAYERS),
    "ragged": lambda: different_weights(NEURONS, LAYERS, ragged=True),
}

FORMS = (
    Form("equal", "none", "fused_equal"),
    Form("different", "none", "fused_fan_in"),
    Form("different", "distinct", "fused_groups"),
    Form("equal", "all", "fused_groups"),
    Form("ragged", "none", "fused_csr"),
)


def measure_forms(space: Space, rows: int) -> Iterator[FormRate]:
    """Yield the rate of each form with 8 and with 32 threads a neuron, and with 1 and 16 layers a
    launch. The first layer of a network of equal weights has another form, and is not timed."""
    inputs = kk.images(NEURONS, rows)
    expected: dict[str, NDArray[np.floating]] = {}
    for form in FORMS:
        launch = replace(space.launch, group_outputs=form.group_outputs)
        net = _NETWORKS[form.weights]()
        problem = TiledProblem.of(replace(space, launch=launch), net, inputs)
        first = len(problem.layers) - LAYERS
        names = {layer.workunit.__name__ for layer in problem.layers[first:]}
        assert names == {form.workunit}, names
        for vector_length in (8, 32) if space.gpu else (1,):
            size = launch.team_threads // vector_length
            shaped = problem.with_launch(
                replace(launch, vector_length=vector_length, team_size=size)
            )
            candidates = {depth: FusedWorkunit(shaped, depth, first) for depth in DEPTHS}
            for depth, rate, values in timed_rates(candidates):
                yield FormRate(
                    weights=form.weights,
                    group_outputs=form.group_outputs,
                    workunit=form.workunit,
                    rows=rows,
                    vector_length=vector_length,
                    lanes_per_thread=launch.lanes_per_thread,
                    team_threads=launch.team_threads,
                    layers_a_launch=depth,
                    edges_per_second=rate,
                    same=bool(np.array_equal(values, expected.setdefault(form.weights, values))),
                )


def timed_rates(
    candidates: Mapping[int, FusedWorkunit],
) -> Iterator[tuple[int, float, NDArray[np.floating]]]:
    """Time candidates on the last `LAYERS` layers. Return for each its key, the median rate in
    edges/s, and the values."""
    seconds = timed({str(key): each for key, each in candidates.items()}, LAYERS, RUNS)
    for key, candidate in candidates.items():
        problem = candidate.problem
        edges = problem.inputs.rows * sum(layer.edges for layer in problem.layers[-LAYERS:])
        yield key, edges / median(seconds[str(key)]), candidate.values()
