"""Measure SpGEMM implementations on one random network after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import scipy.sparse as sp

from bench.expected_results import ExpectedRows, compute_expected_rows
from bench.peers import all_peers
from bench.problem import RandomProblem
from bench.runner import OnProgress, Plan, measure
from kkspdnn.records.comparison import PeerResult
from kkspdnn.records.spgemm_study import SpgemmCase, SpgemmTiming

IMPLEMENTATIONS = (
    *("scipy", "graphblas", "mkl", "kokkos-kernels", "cusparse"),
    *("spgemm", "none"),
)
"""Names of the peers that are measured, in the order of tables and figures."""

_TRIAL_ROWS = 64


@dataclass(frozen=True)
class Timing:
    """How long each implementation is measured, see `bench.runner.Plan`."""

    threads: int
    runs: int
    seconds: float


def measure_case(
    problem: RandomProblem, names: Sequence[str], timing: Timing, on_progress: OnProgress
) -> SpgemmCase:
    """Compute the expected categories with the serial reference, and measure implementations.

    names: of IMPLEMENTATIONS
    """
    on_progress("reference", 0.0)
    expected, multiplications, densities = _expect(problem)
    plan = Plan(
        problem, timing.threads, "openmp", timing.runs, timing.seconds, trial_rows=_TRIAL_ROWS
    )
    peers = all_peers()
    rows = measure([peers[name] for name in names], plan, expected, on_progress)
    return SpgemmCase(
        neurons=problem.neurons,
        edges=problem.edges,
        density=problem.density,
        layers=problem.layers,
        inputs=problem.inputs,
        seed=problem.seed,
        multiplications=multiplications,
        densities=densities,
        rows=tuple(_timing(row, expected) for row in rows),
    )


def _expect(problem: RandomProblem) -> tuple[ExpectedRows, tuple[int, ...], tuple[float, ...]]:
    """Return the expected rows, and multiplications and percentage of nonzeros of each layer."""
    loaded = problem.load()
    multiplications: list[int] = []
    densities: list[float] = []

    def on_layer(position: int, products: int, y: sp.csr_array) -> None:
        multiplications.append(products)
        densities.append(100 * y.nnz / (y.shape[0] * y.shape[1]))

    expected = compute_expected_rows(loaded.network, loaded.inputs, on_layer)
    return expected, tuple(multiplications), tuple(densities)


def _timing(row: PeerResult, expected: ExpectedRows) -> SpgemmTiming:
    measured = row.status == "ok" and row.inputs is not None
    return SpgemmTiming(
        name=row.name,
        label=row.label,
        status=row.status,
        why=row.why,
        version=row.version,
        threads=row.threads,
        inputs=row.inputs,
        multiplications=int(expected.products[: row.inputs].sum()) if measured else None,
        computed_edges=row.edges_multiplied,
        seconds=row.inference_seconds if measured else (),
        gpu=row.gpu,
    )
