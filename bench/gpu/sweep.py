"""`python -m bench.gpu sweep`: the rate of the fused launch, by shape of a launch and by form.

On a GPU the shapes are vector lengths, lanes a thread, threads of a team and layers a launch.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import product
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

import kkspdnn as kk
from bench.ceiling.tiled_problem import TiledProblem
from bench.ceiling.workunit import FusedWorkunit
from bench.environment import collect_environment
from bench.gpu.forms import (
    LAYERS,
    NEURONS,
    FormRate,
    measure_forms,
    thread_text,
    timed_rates,
)
from bench.gpu.steps import record_label
from kkspdnn.device.errors import translate_cupy_errors
from kkspdnn.device.launch_parameters import LaunchParameters
from kkspdnn.device.space import Space, open_space
from kkspdnn.records.provenance import now
from kkspdnn.tuning.legality import find_illegal

SCHEMA = "kkspdnn-sweep/2"
_DEPTHS = 16, 1, 4
_DTYPE = np.dtype(np.float32)

_SECONDS = {60_000: 12.0, 8000: 4.0}
"""Numbers of input rows, and the time for the shapes of each; the remaining shapes are skipped."""


@dataclass(frozen=True)
class Point:
    """A shape of a launch, and the median rate on a RadiX-Net; every edge is computed.

    rows: input rows; rows_a_tile, team_threads, layers_a_launch: the shape
    vector_length, lanes_per_thread: see `LaunchParameters`
    same: the values equal those of the first point
    """

    rows: int
    vector_length: int
    lanes_per_thread: int
    rows_a_tile: int
    team_threads: int
    layers_a_launch: int
    edges_per_second: float
    same: bool

    def line(self) -> str:
        """Return the line of the table."""
        return (
            f"{self.rows} rows, {self.rows_a_tile} per tile, "
            f"{thread_text(self.vector_length, self.lanes_per_thread)}teams of {self.team_threads},"
            f" {self.layers_a_launch} layers per launch: {self.edges_per_second:.3g} edges/s"
            f"{'' if self.same else ', FAIL: DIFFERENT VALUES'}"
        )


@translate_cupy_errors
def command(arguments: argparse.Namespace) -> int:
    """Return 1 if the shape or the form of a launch changes a value."""
    space = open_space(arguments.space)
    forms: list[FormRate] = []
    for form in measure_forms(space, 600 if arguments.small else 60_000):
        print(form.line(), flush=True)
        forms.append(form)
    points: list[Point] = []
    for point in _points(space, arguments.small):
        print(point.line(), flush=True)
        points.append(point)
    for rows in dict.fromkeys(point.rows for point in points):
        best = max((p for p in points if p.rows == rows), key=lambda p: p.edges_per_second)
        print(f"best: {best.line()}")
    if arguments.records is not None:
        environment = collect_environment()
        record = {
            "schema": SCHEMA,
            "created": now(),
            "load_average": environment.load_average,
            "machine": environment.machine,
            "gpu": environment.gpu,
            "commit": environment.commit,
            "versions": environment.versions,
            "network": f"radixnet-{NEURONS}x{LAYERS}",
            "forms": [asdict(form) for form in forms],
            "points": [asdict(point) for point in points],
        }
        path = arguments.records / f"sweep-{record_label(arguments.space)}.json"
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    same = [form.same for form in forms] + [point.same for point in points]
    return 0 if all(same) else 1


def _points(space: Space, small: bool) -> Iterator[Point]:
    net = kk.radixnet(NEURONS, LAYERS + 1)
    for rows, limit in ((600, 60.0),) if small else _SECONDS.items():
        problem = TiledProblem.of(space, net, kk.images(NEURONS, rows))
        shapes = list(_shapes(space.launch) if space.gpu else _cpu_shapes(space.launch))
        expected: NDArray[np.floating] | None = None
        begun = perf_counter()
        for number, launch in enumerate(shapes):
            if number and perf_counter() - begun > limit:
                print(f"{rows} rows: no time for {len(shapes) - number} of {len(shapes)} shapes")
                break
            shaped = problem.with_launch(launch)
            # The first layer has another form.
            candidates = {depth: FusedWorkunit(shaped, depth, first=1) for depth in _DEPTHS}
            for depth, rate, values in timed_rates(candidates):
                expected = values if expected is None else expected
                yield Point(
                    rows=rows,
                    vector_length=launch.vector_length,
                    lanes_per_thread=launch.lanes_per_thread,
                    rows_a_tile=shaped.shape.lanes,
                    team_threads=launch.team_threads,
                    layers_a_launch=depth,
                    edges_per_second=rate,
                    same=bool(np.array_equal(values, expected)),
                )


def _shapes(default: LaunchParameters) -> Iterator[LaunchParameters]:
    """Yield the legal shapes of tiles and teams on a GPU: first the default, then those that differ
    from it in one number, then the others."""

    def distance(shape: tuple[int, int, int]) -> int:
        vector_length, lanes, threads = shape
        return (
            (vector_length != default.vector_length)
            + (lanes != default.lanes_per_thread)
            + (threads != default.team_threads)
        )

    for vector_length, lanes, threads in sorted(
        product((8, 32, 16), (4, 8, 1), (512, 256, 128)), key=distance
    ):
        launch = replace(
            default,
            vector_length=vector_length,
            lanes_per_thread=lanes,
            team_size=threads // vector_length,
        )
        if find_illegal(launch, "cuda", _DTYPE) is None:
            yield launch


def _cpu_shapes(default: LaunchParameters) -> Iterator[LaunchParameters]:
    for tile_bytes in (64, 128, 256):
        yield replace(default, tile_bytes=tile_bytes)
