"""The orchestrator: a network and input rows in, categories and a record out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from time import perf_counter
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike, NDArray

from kkspdnn.device_errors import in_one_line
from kkspdnn.engines import EXITS, KERNELS, Exits, Kernel, Report, make_engine
from kkspdnn.engines.outcome import joined
from kkspdnn.engines.prepared import PreparedLayers
from kkspdnn.errors import InputError
from kkspdnn.fold import fold as fold_network
from kkspdnn.inputs import Inputs
from kkspdnn.matrices import float_dtype
from kkspdnn.memory import Budget, peak_memory
from kkspdnn.network import Network
from kkspdnn.pk.toolchain import machine
from kkspdnn.record import Record, categories_sha256
from kkspdnn.spaces import open_space
from kkspdnn.verify import VERIFY, Verify, verify, wanted

Progress = Callable[[str, float], None]
"""Called with what is being done and how much of it is done, 0 to 1."""


@dataclass(frozen=True, eq=False)
class Result:
    """What inference found.

    categories: int64, the 1-based numbers of the input rows with any nonzero value, ascending
    values: CSR (len(categories), outputs), their activations after the last layer, or None
    """

    categories: NDArray[np.int64]
    values: sp.csr_array | None
    record: Record

    @property
    def outputs(self) -> NDArray[np.floating]:
        """The activations after the last layer of all input rows, dense (inputs, outputs).

        InputError where `values` were not kept.
        """
        if self.values is None:
            raise InputError("the values were not kept; ask for them with values=True")
        dense = np.zeros((self.record.inputs, self.values.shape[1]), self.values.dtype)
        dense[self.categories - 1] = self.values.toarray()
        return dense


@in_one_line
def infer(
    network: Network,
    inputs: Any,
    *,
    space: str = "openmp",
    kernel: Kernel = "fused",
    exits: Exits = "all",
    dtype: DTypeLike | None = None,
    threads: int | None = None,
    device: int | None = None,
    fold: bool = False,
    verification: Verify = "none",
    values: bool = False,
    memory: float | None = None,
    progress: Progress | None = None,
) -> Result:
    """Run input rows through a network: Y' = min(max(Y W + b, 0), ymax), layer after layer.

    inputs: Inputs, or a SciPy sparse matrix or 2-D NumPy array of shape (rows, neurons)
    space: serial, openmp or cuda; kernel: fused (tiles) or spgemm (CSR times CSR)
    exits: which rows leave early in the fused kernel: none, dead (rows of zeros) or all (also rows
    of ymax that provably stay so)
    dtype: float32 or float64; None: the network's
    threads: OpenMP threads; None: OMP_NUM_THREADS, else all cores
    device: which GPU, within CUDA_VISIBLE_DEVICES; None: KOKKOS_DEVICE_ID, else the first
    fold: compute one of each class of equal neurons, see kkspdnn.fold; `values` has them all
    verification: none, sample or full, against the serial reference; the verdict is in the
    record; values: keep the activations of the living rows
    memory: gigabytes (10^9 bytes) that this process may take in all, now and while it runs: Python
    with its libraries, the network and the input rows that it holds already, layers as the kernels
    take them, and activations. Layers that do not fit are made again on each use, and input rows go
    through in parts. Only `values` and a full verification may come on top, where many rows live.
    None: layers, and then activations, take at most 40 % of the free memory each

    Raises InputError for a network or inputs that cannot be used, SpaceError, ToolchainError and
    CacheError for what this machine lacks.
    """
    _choice("kernel", kernel, KERNELS)
    _choice("exits", exits, EXITS)
    _choice("verification", verification, VERIFY)
    budget = Budget.of(memory)
    given = Inputs.from_any(inputs)
    if given.neurons != network.inputs:
        raise InputError(
            f"the input rows have {given.neurons} neurons but the network takes {network.inputs}"
        )
    kind = network.dtype if dtype is None else float_dtype(dtype)
    typed = network.astype(kind)
    tell = progress if progress is not None else _silent
    tell("starting Kokkos", 0.0)
    here = machine()  # before OpenMP may bind this thread to a core, as the user may ask it to
    started = perf_counter()
    where = open_space(space, threads, device)
    opened = perf_counter()
    engine = make_engine(kernel, where, kind, typed.ymax, exits)
    folded = None
    if fold:
        folded = fold_network(typed, lambda done: tell("folding equal neurons", done), budget)
    computed = typed if folded is None else folded.network
    tell("preparing the network", 0.0)
    every = values or verification == "full"
    layers = PreparedLayers(computed, engine, kind, budget, every)
    prepared = perf_counter()
    tell("compiling workunits", 0.0)
    engine.warm_up(layers, given)
    warm = perf_counter()
    engine.prove(layers)
    engine.take_room(layers, given)
    ready = perf_counter()
    keep = None
    if every or verification != "none":
        keep = wanted(typed, given, "full" if every else verification)
    parts = engine.run(layers, given, keep, _report(tell, max(1, given.rows * len(layers))))
    outcome = joined(parts, computed.outputs, kind, keep is not None)
    done = perf_counter()
    if folded is not None and outcome.values is not None:
        outcome = replace(outcome, values=folded.expand(outcome.values))
    if verification != "none":
        tell("verifying", 0.0)
    verified = verify(typed, given, outcome, verification, done - ready)
    categories = outcome.rows + 1
    record = Record(
        space=where.name,
        neurons=network.inputs,
        layers=len(network.layers),
        inputs=given.rows,
        edges=typed.edges,
        kernel=kernel,
        exits=engine.exits,
        dtype=str(kind),
        threads=where.threads,
        compile_seconds=opened - started + warm - prepared,
        load_seconds=0.0,
        prepare_seconds=prepared - opened + ready - warm,
        inference_seconds=done - ready,
        edges_per_second=given.rows * typed.edges / (done - ready),
        edges_multiplied=outcome.multiplied,
        categories=int(categories.size),
        categories_sha256=categories_sha256(categories),
        truth="absent",
        verified=verified,
        network=network.name,
        network_source=network.source,
        inputs_source=given.source,
        machine=f"{where.device_name}; {here}" if where.gpu else here,
        compiler=where.compiler,
        kokkos_version=where.kokkos_version,
        pk=where.front,
        version=own_version(),
        fold=fold,
        neurons_before_fold=None if folded is None else folded.neurons,
        neurons_after_fold=None if folded is None else folded.neurons_after,
        edges_after_fold=None if folded is None else folded.network.edges,
        memory_budget_bytes=budget.total,
        peak_memory_bytes=peak_memory(),
        layers_held=layers.held,
        order=engine.order,
    )
    return Result(categories, outcome.take(outcome.rows) if values else None, record)


def own_version() -> str:
    """The installed version of kkspdnn."""
    try:
        return version("kkspdnn")
    except PackageNotFoundError:
        return "not installed"


def _report(progress: Progress, total: int) -> Report:
    """Tells how much is done when called with the input rows times layers that are settled."""
    done = 0

    def report(settled: int) -> None:
        nonlocal done
        done += settled
        progress("inference", done / total)

    return report


def _silent(_doing: str, _done: float) -> None:
    pass


def _choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{option} {value!r} is unknown: choose one of {', '.join(choices)}")
