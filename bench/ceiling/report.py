"""Measure all candidates, and write the report as JSON or as a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from bench.ceiling.bound import Bound, measure_bound
from bench.ceiling.cuda import load_kernels, nominal_edges_per_second
from bench.ceiling.hand_written import LANES, HandWrittenKernel
from bench.ceiling.hand_written_cuda import HandWrittenCudaKernel
from bench.ceiling.measure import Candidate, Samples, largest_difference, timed
from bench.ceiling.native import load_native
from bench.ceiling.tiled_problem import TiledProblem
from bench.ceiling.workunit import FusedWorkunit
from kkspdnn.device.errors import translate_cupy_errors
from kkspdnn.device.space import Space, check_space, open_space
from kkspdnn.io.shipped_images import images
from kkspdnn.model.radixnet import radixnet
from kkspdnn.pk.build.toolchain import machine
from kkspdnn.records.provenance import Provenance, collect_provenance, load_average
from kkspdnn.verify import error_bound
from kkspdnn.version import own_version

KIND = "kkspdnn-ceiling/1"
"""The name and version of the format of its records."""

RUNS = 9
DEPTH = 8
"""Layers per launch of the second comparison, besides 1; the engine uses up to 16."""

COMPARED = (
    ("workunit, depth 1", "hand, depth 1"),
    (f"workunit, depth {DEPTH}", f"hand, depth {DEPTH}"),
    (f"workunit, depth {DEPTH}", "hand, all layers"),
)
"""The pairs of candidates whose rates are compared; `hand, all layers` runs on a CPU only.

The names are keys of the record: `hand` is the hand-written kernel.
"""

SPACES = ("openmp", "cuda")

_NAME_WIDTH = 46
"""Columns of a name in the printed table."""


@dataclass(frozen=True)
class Report:
    """The result of one measurement.

    edges_per_second: inputs times edges over the seconds of a run; every edge is computed
    ratios: rate of the workunit over rate of the hand-written kernel in the same round
    largest_difference: of a value between candidates, after each of `compared_after` layers
    allowed: limit of largest_difference: 0 with the built-in compiler, else verify.error_bound
    bound: upper bound of a CPU; None on a GPU
    nominal_edges_per_second: upper bound of a GPU by its nominal L1 bandwidth; None on a CPU
    load_average: the mean of the minute before the measurement; None if unknown
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
    provenance: Provenance
    load_average: float | None

    @property
    def same(self) -> bool:
        """Whether all candidates computed the same values."""
        return self.largest_difference <= self.allowed

    def to_json(self) -> str:
        """Return JSON text; a largest difference that is not finite becomes null."""
        fields: dict[str, Any] = {"kind": KIND, **asdict(self)}
        fields |= fields.pop("provenance")
        if not np.isfinite(self.largest_difference):
            fields["largest_difference"] = None
        return json.dumps(fields, indent=2, allow_nan=False) + "\n"

    def lines(self) -> Iterator[str]:
        """Return the lines of the table."""
        yield f"network     {self.network}: {self.edges:,} edges, {self.inputs:,} rows"
        yield f"machine     {self.machine}, {self.threads:,} threads"
        if self.bound is not None:
            yield from self._bound_lines(self.bound)
        if self.nominal_edges_per_second is not None:
            yield (
                f"bound       {self.nominal_edges_per_second:.3g} edges/s if every multiprocessor "
                "loaded 128 bytes per cycle"
            )
        caches = () if self.bound is None else (self.bound.l1, self.bound.l2)
        heads = ("of L1", "of L2") if caches else ()
        columns = "".join(f"{head:>8}" for head in heads)
        yield f"{'edges/s':<{_NAME_WIDTH + 2}}{'median':>10}{'min':>10}{'max':>10}{columns}"
        for name, rate in self.edges_per_second.items():
            shares = "".join(f"{rate.median / cache.edges_per_second:>8.0%}" for cache in caches)
            yield f"  {_label(name):<{_NAME_WIDTH}}{_numbers(rate, '.3g')}{shares}"
        for name, ratio in self.ratios.items():
            yield f"  {_label(name):<{_NAME_WIDTH}}{_numbers(ratio, '.2f')}"
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
            f"bound       {bound.bytes_per_edge:.2f} B loaded per edge; a tile has "
            f"{self.neurons * LANES * 4 / 1024:,.0f} KiB"
        )
        for name, cache in (("L1", bound.l1), ("L2", bound.l2)):
            yield (
                f"  {name}        {cache.bytes_per_second / 1e9:.0f} GB/s, "
                f"{cache.loads_per_cycle:.2f} loads per cycle and core: "
                f"{cache.edges_per_second:.3g} edges/s if all loads hit {name}"
            )
        yield f"  {bound.one_load_edges_per_second:.3g} edges/s at one load per cycle and core"


def _label(name: str) -> str:
    """Return the printed name of a candidate or ratio of the record."""
    return name.replace("hand,", "hand-written,")


def _numbers(samples: Samples, spec: str) -> str:
    return "".join(f"{n:>10{spec}}" for n in (samples.median, samples.least, samples.most))


@dataclass(frozen=True)
class _HandWritten:
    """The hand-written kernel of an execution space.

    make: returns a candidate with a number of layers per launch
    bound: measures the upper bound; None on a GPU
    """

    make: Callable[[TiledProblem, int], Candidate]
    compiler: str
    flags: str
    bound: Callable[[], Bound] | None = None


def _load_hand_written(space: Space) -> _HandWritten:
    if space.gpu:
        kernels = load_kernels(space)
        return _HandWritten(
            partial(HandWrittenCudaKernel, kernels), kernels.compiler, kernels.flags
        )
    native = load_native()
    bound = partial(measure_bound, native, space.threads)
    return _HandWritten(partial(HandWrittenKernel, native), native.compiler, native.flags, bound)


def _candidates(
    problem: TiledProblem, hand_written: _HandWritten, layers: int
) -> dict[str, Candidate]:
    candidates: dict[str, Candidate] = {}
    for depth in (1, DEPTH):
        candidates[f"workunit, depth {depth}"] = FusedWorkunit(problem, depth)
        candidates[f"hand, depth {depth}"] = hand_written.make(problem, depth)
    if not problem.shape.space.gpu:
        candidates["hand, all layers"] = hand_written.make(problem, layers)
    return candidates


def _ratios(seconds: Mapping[str, Sequence[float]]) -> dict[str, Samples]:
    """Return the ratios of rates for the pairs of COMPARED that were measured."""
    return {
        f"{workunit} / {other}": Samples.of(
            [h / w for w, h in zip(seconds[workunit], seconds[other], strict=True)]
        )
        for workunit, other in COMPARED
        if other in seconds
    }


@translate_cupy_errors
def measure(
    neurons: int,
    layers: int,
    rows: int,
    threads: int | None = None,
    command: str = "",
    space: str = "openmp",
) -> Report:
    """Time the workunit and the hand-written kernel on a RadiX-Net in float32.

    space: openmp or cuda. Raises InputError, SpaceError, ToolchainError or CacheError.
    """
    check_space(space)
    network = radixnet(neurons, layers)
    inputs = images(neurons, rows)
    load = load_average()
    host = machine()  # before OpenMP may bind this thread to a core
    device = open_space(space, threads)
    problem = TiledProblem.of(device, network, inputs)
    hand_written = _load_hand_written(device)
    candidates = _candidates(problem, hand_written, layers)
    # After a few layers most values are still between 0 and ymax.
    depths = sorted({min(depth, layers) for depth in (1, 4, layers)})
    difference = largest_difference(candidates, depths)
    bound = None if hand_written.bound is None else hand_written.bound()
    seconds = timed(candidates, layers, RUNS)
    if hand_written.bound is not None and bound is not None:
        # Measured again: other programs can only lower the bandwidth.
        bound = bound.or_better(hand_written.bound())
    edges = float(network.edges * inputs.rows)
    return Report(
        network=network.name,
        neurons=neurons,
        layers=layers,
        inputs=inputs.rows,
        edges=network.edges,
        threads=device.threads,
        edges_per_second={
            name: Samples.of([edges / s for s in times]) for name, times in seconds.items()
        },
        ratios=_ratios(seconds),
        compared_after=depths,
        largest_difference=difference,
        allowed=0.0 if device.implementation == "builtin" else error_bound(network),
        bound=bound,
        nominal_edges_per_second=nominal_edges_per_second(device) if device.gpu else None,
        space=device.name,
        machine=f"{device.device_name}; {host}" if device.gpu else host,
        compiler=hand_written.compiler,
        flags=hand_written.flags,
        kokkos_version=device.kokkos_version,
        pk=device.implementation,
        version=own_version(),
        command=command,
        provenance=collect_provenance(),
        load_average=load,
    )
