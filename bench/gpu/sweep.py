"""`python -m bench.gpu sweep`: time the fused launch over lanes, team sizes and depths."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from statistics import median

import numpy as np
from numpy.typing import NDArray

import kkspdnn as kk
from bench.ceiling.measure import timed
from bench.ceiling.tiled_problem import TiledProblem
from bench.ceiling.workunit import FusedWorkunit
from bench.environment import collect_environment
from bench.gpu.steps import record_label
from kkspdnn.device.errors import translate_cupy_errors
from kkspdnn.device.space import Space, open_space

SCHEMA = "kkspdnn-sweep/1"
_LAYERS = 16
_DEPTHS = 1, 4, 16
_RUNS = 5


@dataclass(frozen=True)
class Point:
    """One shape of a launch and its median rate; every edge is computed.

    rows: input rows; rows_a_tile, team_threads, layers_a_launch: the shape
    same: the values equal those of the first point
    """

    rows: int
    rows_a_tile: int
    team_threads: int
    layers_a_launch: int
    edges_per_second: float
    same: bool


@translate_cupy_errors
def command(arguments: argparse.Namespace) -> int:
    """Return 1 if the shape of a launch changes a value."""
    points = list(_points(arguments.space, arguments.small))
    if arguments.records is not None:
        environment = collect_environment()
        record = {
            "schema": SCHEMA,
            "machine": environment.machine,
            "gpu": environment.gpu,
            "commit": environment.commit,
            "versions": environment.versions,
            "network": f"radixnet-1024x{_LAYERS}",
            "points": [asdict(point) for point in points],
        }
        path = arguments.records / f"sweep-{record_label(arguments.space)}.json"
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0 if all(point.same for point in points) else 1


def _points(name: str, small: bool) -> Iterator[Point]:
    space, net = open_space(name), kk.radixnet(1024, _LAYERS)
    expected: dict[int, NDArray[np.floating]] = {}
    for rows in (600,) if small else (60_000, 8000):
        inputs = kk.images(1024, rows)
        for shaped in _shapes(space):
            problem = TiledProblem.of(shaped, net, inputs)
            candidates = {f"{depth}": FusedWorkunit(problem, depth) for depth in _DEPTHS}
            seconds = timed(candidates, _LAYERS, _RUNS)
            for depth, workunit in candidates.items():
                values = workunit.values()
                point = Point(
                    rows,
                    problem.shape.lanes,
                    shaped.launch.team_threads,
                    int(depth),
                    rows * net.edges / median(seconds[depth]),
                    bool(np.array_equal(values, expected.setdefault(rows, values))),
                )
                print(
                    f"{rows} rows, {point.rows_a_tile} per tile, teams of {point.team_threads}, "
                    f"{depth} layers per launch: {point.edges_per_second:.3g} edges/s"
                    f"{'' if point.same else ', FAIL: DIFFERENT VALUES'}",
                    flush=True,
                )
                yield point


def _shapes(space: Space) -> Iterator[Space]:
    """Yield the space with different sizes of tiles and teams."""
    if not space.gpu:
        for tile_bytes in (64, 128, 256):
            yield replace(space, launch=replace(space.launch, tile_bytes=tile_bytes))
        return
    for lanes in (1, 2, 4, 8):
        for warps in (4, 8, 16, 32):
            launch = replace(space.launch, lanes_per_thread=lanes, team_size=warps)
            yield replace(space, launch=launch)
