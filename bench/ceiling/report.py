"""The measurement as a record, and as the table that the command prints."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from bench.ceiling.bound import Bound, measure_bound
from bench.ceiling.cuda import load_kernels, nominal_edges_per_second
from bench.ceiling.hand import LANES, Hand
from bench.ceiling.hand_cuda import HandCuda
from bench.ceiling.measure import Contender, Samples, largest_difference, timed
from bench.ceiling.native import load_native
from bench.ceiling.ours import Ours
from bench.ceiling.work import Work
from kkspdnn.device.errors import translate_cupy_errors
from kkspdnn.device.space import Space, check_space, open_space
from kkspdnn.io.shipped_images import images
from kkspdnn.model.radixnet import radixnet
from kkspdnn.pk.build.toolchain import machine
from kkspdnn.verify import error_bound
from kkspdnn.version import own_version

RUNS = 9
DEPTH = 8
"""Layers of a tile in one launch, beside one: the engine takes up to 16."""

COMPARED = (
    ("workunit, depth 1", "hand, depth 1"),
    (f"workunit, depth {DEPTH}", f"hand, depth {DEPTH}"),
    (f"workunit, depth {DEPTH}", "hand, all layers"),
)
"""The contenders that the ratios are of; all layers in one launch only on a CPU."""

SPACES = ("openmp", "cuda")


@dataclass(frozen=True)
class Report:
    """What one measurement found.

    edges_per_second: inputs times edges over the seconds of a run, every edge computed
    ratios: a workunit's rate over a hand kernel's, round by round
    largest_difference: of any value of any two, after each of `compared_after` layers; allowed: 0
    where both are compiled alike, else verify.error_bound
    bound: of a CPU; nominal_edges_per_second: of a GPU, by its caches' nominal bandwidth
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
    bound: Bound | None
    nominal_edges_per_second: float | None
    space: str
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
        yield f"network     {self.network}: {self.edges:,} edges, {self.inputs:,} rows"
        yield f"machine     {self.machine}, {self.threads:,} threads"
        if self.bound is not None:
            yield from self._bound_lines(self.bound)
        if self.nominal_edges_per_second is not None:
            yield (
                f"bound       {self.nominal_edges_per_second:.3g} edges/s if every multiprocessor "
                "loaded 128 bytes a cycle"
            )
        caches = () if self.bound is None else (self.bound.l1, self.bound.l2)
        heads = ("of L1", "of L2") if caches else ()
        columns = "".join(f"{head:>8}" for head in heads)
        yield f"{'edges/s':<38}{'median':>10}{'least':>10}{'most':>10}{columns}"
        for name, rate in self.edges_per_second.items():
            parts = "".join(f"{rate.median / cache.edges_per_second:>8.0%}" for cache in caches)
            yield f"  {name:<36}{_numbers(rate, '.3g')}{parts}"
        for name, ratio in self.ratios.items():
            yield f"  {name:<36}{_numbers(ratio, '.2f')}"
        verdict = "the same" if self.same else "DIFFERENT"
        depths = ", ".join(map(str, self.compared_after))
        yield (
            f"values      {verdict} after layers {depths}: largest difference "
            f"{self.largest_difference:.3g}, allowed {self.allowed:.3g}"
        )

    def _bound_lines(self, bound: Bound) -> Iterator[str]:
        yield (
            f"core        {bound.clock_hertz / 1e9:.2f} GHz measured, "
            f"{bound.vector_bytes}-byte vectors"
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


def _numbers(samples: Samples, form: str) -> str:
    return "".join(f"{n:>10{form}}" for n in (samples.median, samples.least, samples.most))


@dataclass(frozen=True)
class _ByHand:
    """make: a contender of so many layers a launch; bound: measures it, on a CPU."""

    make: Callable[[Work, int], Contender]
    compiler: str
    flags: str
    bound: Callable[[], Bound] | None = None


def _by_hand(space: Space) -> _ByHand:
    if space.gpu:
        kernels = load_kernels(space)
        return _ByHand(partial(HandCuda, kernels), kernels.compiler, kernels.flags)
    native = load_native()
    bound = partial(measure_bound, native, space.threads)
    return _ByHand(partial(Hand, native), native.compiler, native.flags, bound)


@translate_cupy_errors
def measure(
    neurons: int,
    layers: int,
    rows: int,
    threads: int | None = None,
    command: str = "",
    space: str = "openmp",
) -> Report:
    """Time the workunit and the kernel written by hand on a RadiX-Net, float32.

    space: openmp or cuda. Raises InputError, SpaceError, ToolchainError or CacheError.
    """
    check_space(space)
    network = radixnet(neurons, layers)
    inputs = images(neurons, rows)
    here = machine()  # before OpenMP may bind this thread to a core
    where = open_space(space, threads)
    work = Work.of(where, network, inputs)
    hand = _by_hand(where)
    contenders: dict[str, Contender] = {}
    for depth in (1, DEPTH):
        contenders[f"workunit, depth {depth}"] = Ours(work, depth)
        contenders[f"hand, depth {depth}"] = hand.make(work, depth)
    if not where.gpu:
        contenders["hand, all layers"] = hand.make(work, layers)
    # After a few layers most values are neither 0 nor ymax yet.
    depths = sorted({min(depth, layers) for depth in (1, 4, layers)})
    difference = largest_difference(contenders, depths)
    bound = None if hand.bound is None else hand.bound()
    seconds = timed(contenders, layers, RUNS)
    if hand.bound is not None and bound is not None:
        # A neighbour on the same machine may take bandwidth for a while, but cannot add any.
        bound = bound.or_better(hand.bound())
    computed = float(network.edges * inputs.rows)
    return Report(
        network=network.name,
        neurons=neurons,
        layers=layers,
        inputs=inputs.rows,
        edges=network.edges,
        threads=where.threads,
        edges_per_second={
            name: Samples.of([computed / s for s in each]) for name, each in seconds.items()
        },
        ratios={
            f"{ours} / {other}": Samples.of(
                [h / o for o, h in zip(seconds[ours], seconds[other], strict=True)]
            )
            for ours, other in COMPARED
            if other in contenders
        },
        compared_after=depths,
        largest_difference=difference,
        allowed=0.0 if where.front == "builtin" else error_bound(network),
        bound=bound,
        nominal_edges_per_second=nominal_edges_per_second(where) if where.gpu else None,
        space=where.name,
        machine=f"{where.device_name}; {here}" if where.gpu else here,
        compiler=hand.compiler,
        flags=hand.flags,
        kokkos_version=where.kokkos_version,
        pk=where.front,
        version=own_version(),
        command=command,
    )
