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

from kkspdnn.engines import EXITS, KERNELS, Engine, Exits, Kernel, Outcome, make_engine
from kkspdnn.engines.base import PreparedLayers, chunks
from kkspdnn.errors import InputError
from kkspdnn.fold import fold as fold_network
from kkspdnn.inputs import Inputs
from kkspdnn.matrices import float_dtype
from kkspdnn.network import Network
from kkspdnn.pk.toolchain import machine
from kkspdnn.record import Record, categories_sha256
from kkspdnn.spaces import open_space
from kkspdnn.verify import VERIFY, Verify, verify

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


def infer(
    network: Network,
    inputs: Any,
    *,
    space: str = "openmp",
    kernel: Kernel = "fused",
    exits: Exits = "all",
    dtype: DTypeLike | None = None,
    threads: int | None = None,
    fold: bool = False,
    verification: Verify = "none",
    values: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Run input rows through a network: Y' = min(max(Y W + b, 0), ymax), layer after layer.

    inputs: Inputs, or a SciPy sparse matrix or 2-D NumPy array of shape (rows, neurons)
    space: serial, openmp or cuda; kernel: fused (tiles) or spgemm (CSR times CSR)
    exits: which rows leave early in the fused kernel: none, dead (rows of zeros) or all (also rows
    of ymax that provably stay so)
    dtype: float32 or float64; None: the network's
    threads: OpenMP threads; None: OMP_NUM_THREADS, else all cores
    fold: compute one of each class of equal neurons, see kkspdnn.fold; `values` has them all
    verification: none, sample or full, against the serial reference; the verdict is in the
    record; values: keep the activations of the living rows

    Raises InputError for a network or inputs that cannot be used, SpaceError, ToolchainError and
    CacheError for what this machine lacks.
    """
    _choice("kernel", kernel, KERNELS)
    _choice("exits", exits, EXITS)
    _choice("verification", verification, VERIFY)
    given = Inputs.from_any(inputs)
    if given.neurons != network.inputs:
        raise InputError(
            f"the input rows have {given.neurons} neurons but the network takes {network.inputs}"
        )
    wanted = network.dtype if dtype is None else float_dtype(dtype)
    typed = network.astype(wanted)
    tell = progress if progress is not None else _silent
    tell("starting Kokkos", 0.0)
    here = machine()  # before OpenMP may bind this thread to a core, as the user may ask it to
    started = perf_counter()
    where = open_space(space, threads)
    opened = perf_counter()
    engine = make_engine(kernel, where, wanted, typed.ymax, exits)
    folded = None
    if fold:
        folded = fold_network(typed, lambda done: tell("folding equal neurons", done))
    computed = typed if folded is None else folded.network
    tell("preparing the network", 0.0)
    layers = PreparedLayers(computed, engine, wanted)
    prepared = perf_counter()
    tell("compiling workunits", 0.0)
    engine.warm_up(layers, given)
    warm = perf_counter()
    engine.prove(layers)
    proved = perf_counter()
    outcome = _run(engine, computed, layers, given, values or verification != "none", wanted, tell)
    done = perf_counter()
    if folded is not None and outcome.values is not None:
        outcome = replace(outcome, values=folded.expand(outcome.values))
    if verification != "none":
        tell("verifying", 0.0)
    verified = verify(typed, given, outcome, verification, done - proved)
    categories = outcome.rows + 1
    record = Record(
        space=where.name,
        neurons=network.inputs,
        layers=len(network.layers),
        inputs=given.rows,
        edges=typed.edges,
        kernel=kernel,
        exits=engine.exits,
        dtype=str(wanted),
        threads=where.threads,
        compile_seconds=opened - started + warm - prepared,
        load_seconds=0.0,
        prepare_seconds=prepared - opened + proved - warm,
        inference_seconds=done - proved,
        edges_per_second=given.rows * typed.edges / (done - proved),
        edges_multiplied=outcome.multiplied,
        categories=int(categories.size),
        categories_sha256=categories_sha256(categories),
        truth="absent",
        verified=verified,
        network=network.name,
        network_source=network.source,
        inputs_source=given.source,
        machine=here,
        compiler=where.compiler,
        kokkos_version=where.kokkos_version,
        pk=where.front,
        version=own_version(),
        fold=fold,
        neurons_before_fold=None if folded is None else folded.neurons,
        neurons_after_fold=None if folded is None else folded.neurons_after,
        edges_after_fold=None if folded is None else folded.network.edges,
    )
    return Result(categories, outcome.values if values else None, record)


def own_version() -> str:
    """The installed version of kkspdnn."""
    try:
        return version("kkspdnn")
    except PackageNotFoundError:
        return "not installed"


def _run(
    engine: Engine,
    network: Network,
    layers: PreparedLayers,
    inputs: Inputs,
    values: bool,
    dtype: np.dtype[Any],
    progress: Progress,
) -> Outcome:
    total = max(1, inputs.rows * len(layers))
    done = 0

    def report(settled: int) -> None:
        nonlocal done
        done += settled
        progress("inference", done / total)

    rows: list[NDArray[np.int64]] = []
    parts: list[sp.csr_array] = []
    multiplied = 0
    widest = max(network.inputs, network.widest)
    for begin, part in chunks(inputs, engine.bytes_per_row(widest), 64):
        outcome = engine.run(layers, part, values, report)
        rows.append(outcome.rows + begin)
        multiplied += outcome.multiplied
        if outcome.values is not None:
            parts.append(outcome.values)
    joined = np.concatenate(rows) if rows else np.empty(0, np.int64)
    if not values:
        return Outcome(joined, None, multiplied)
    empty = sp.csr_array((0, network.outputs), dtype=dtype)
    return Outcome(joined, sp.csr_array(sp.vstack([empty, *parts], format="csr")), multiplied)


def _silent(_doing: str, _done: float) -> None:
    pass


def _choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{option} {value!r} is unknown: choose one of {', '.join(choices)}")
