"""The measurement as a record, and as the table that the command prints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bench.ceiling.bound import Bound, measure_bound
from bench.ceiling.hand import LANES, Hand
from bench.ceiling.measure import Contender, Samples, largest_difference, timed
from bench.ceiling.native import load_native
from bench.ceiling.ours import Ours
from bench.ceiling.work import Work
from kkspdnn.images import images
from kkspdnn.inference import own_version
from kkspdnn.pk.toolchain import machine
from kkspdnn.radixnet import radixnet
from kkspdnn.spaces import open_space
from kkspdnn.verify import error_bound

RUNS = 9
DEPTH = 8
"""Layers of a tile in one launch, beside one: the engine takes up to 16."""

COMPARED = (
    ("workunit, depth 1", "hand, depth 1"),
    (f"workunit, depth {DEPTH}", f"hand, depth {DEPTH}"),
    (f"workunit, depth {DEPTH}", "hand, all layers"),
)
"""The contenders that the ratios are of."""


@dataclass(frozen=True)
class Report:
    """What one measurement found.

    edges_per_second: inputs times edges over the seconds of a run, every edge computed
    ratios: a workunit's rate over a hand kernel's, round by round
    largest_difference: of any value of any two, after each of `compared_after` layers; allowed: 0
    where both are compiled alike, else verify.error_bound
    """

    network: str
    neurons: int
    layers: int
    inputs: int
    edges: int
    threads: int
    edges_per_second: Mapping[str, Samples]
    ratios: Mapping[str, Samples]
    compared_after: Sequence[int]
    largest_difference: float
    allowed: float
    bound: Bound
    machine: str
    compiler: str
    flags: str
    kokkos_version: str
    pk: str
    version: str
    command: str

    @property
    def same(self) -> bool:
        """Do all give the same values?"""
        return self.largest_difference <= self.allowed

    def to_json(self) -> str:
        """As JSON text; a difference that is not a number is null there."""
        fields: dict[str, Any] = asdict(self)
        if not np.isfinite(self.largest_difference):
            fields["largest_difference"] = None
        return json.dumps(fields, indent=2, allow_nan=False) + "\n"

    def lines(self) -> Iterator[str]:
        """The table, line by line."""
        bound = self.bound
        yield f"network     {self.network}: {self.edges:,} edges, {self.inputs:,} rows"
        yield (
            f"machine     {self.machine}, {self.threads} threads, "
            f"{bound.clock_hertz / 1e9:.2f} GHz measured, {bound.vector_bytes}-byte vectors"
        )
        yield (
            f"bound       {bound.bytes_per_edge:.2f} B loaded an edge; a tile is "
            f"{self.neurons * LANES * 4 / 1024:,.0f} KiB"
        )
        for name, cache in (("L1", bound.l1), ("L2", bound.l2)):
            yield (
                f"  {name}        {cache.bytes_per_second / 1e9:.0f} GB/s, "
                f"{cache.loads_per_cycle:.2f} loads a cycle and core: "
                f"{cache.edges_per_second:.3g} edges/s if all comes from there"
            )
        yield f"  {bound.one_load_edges_per_second:.3g} edges/s at one load a cycle and core"
        yield f"{'edges/s':<38}{'median':>10}{'least':>10}{'most':>10}{'of L1':>8}{'of L2':>8}"
        for name, rate in self.edges_per_second.items():
            parts = [rate.median / cache.edges_per_second for cache in (bound.l1, bound.l2)]
            yield f"  {name:<36}{_numbers(rate, '.3g')}{parts[0]:>8.0%}{parts[1]:>8.0%}"
        for name, ratio in self.ratios.items():
            yield f"  {name:<36}{_numbers(ratio, '.2f')}"
        verdict = "the same" if self.same else "DIFFERENT"
        depths = ", ".join(map(str, self.compared_after))
        yield (
            f"values      {verdict} after layers {depths}: largest difference "
            f"{self.largest_difference:.3g}, allowed {self.allowed:.3g}"
        )


def _numbers(samples: Samples, form: str) -> str:
    return "".join(f"{n:>10{form}}" for n in (samples.median, samples.least, samples.most))


def measure(
    neurons: int, layers: int, rows: int, threads: int | None = None, command: str = ""
) -> Report:
    """Time the workunit and the kernel written by hand on a RadiX-Net, float32, OpenMP.

    Raises InputError, SpaceError, ToolchainError or CacheError.
    """
    network = radixnet(neurons, layers)
    inputs = images(neurons, rows)
    here = machine()  # before OpenMP may bind this thread to a core
    space = open_space("openmp", threads)
    native = load_native()
    work = Work.of(space, network, inputs)
    contenders: dict[str, Contender] = {
        "workunit, depth 1": Ours(work, 1),
        "hand, depth 1": Hand(native, work, 1),
        f"workunit, depth {DEPTH}": Ours(work, DEPTH),
        f"hand, depth {DEPTH}": Hand(native, work, DEPTH),
        "hand, all layers": Hand(native, work, layers),
    }
    # After a few layers most values are neither 0 nor ymax yet.
    depths = sorted({min(depth, layers) for depth in (1, 4, layers)})
    difference = largest_difference(contenders, depths)
    before = measure_bound(native, space.threads)
    seconds = timed(contenders, layers, RUNS)
    # A neighbour on the same machine may take bandwidth for a while, but cannot add any.
    after = measure_bound(native, space.threads)
    bound = before.or_better(after)
    computed = float(network.edges * inputs.rows)
    return Report(
        network=network.name,
        neurons=neurons,
        layers=layers,
        inputs=inputs.rows,
        edges=network.edges,
        threads=space.threads,
        edges_per_second={
            name: Samples.of([computed / s for s in each]) for name, each in seconds.items()
        },
        ratios={
            f"{ours} / {hand}": Samples.of(
                [h / o for o, h in zip(seconds[ours], seconds[hand], strict=True)]
            )
            for ours, hand in COMPARED
        },
        compared_after=depths,
        largest_difference=difference,
        allowed=0.0 if space.front == "builtin" else error_bound(network),
        bound=bound,
        machine=here,
        compiler=native.compiler,
        flags=native.flags,
        kokkos_version=space.kokkos_version,
        pk=space.front,
        version=own_version(),
        command=command,
    )
