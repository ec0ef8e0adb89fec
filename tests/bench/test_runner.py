"""How many rows a peer gets: as many as it can process in about the maximum time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from bench.expected_results import ExpectedRows, compute_expected
from bench.peers.scipy_peers import ScipyCsr
from bench.problem import ChallengeProblem
from bench.runner import Plan, measure
from kkspdnn.cli.problem import load_problem

INPUTS = 3000


@pytest.fixture(scope="module")
def expected() -> ExpectedRows:
    problem = load_problem(neurons=64, layers=2, inputs=INPUTS)
    return compute_expected(problem.network, problem.inputs, lambda done: None)


def _rows_of_runs(
    monkeypatch: pytest.MonkeyPatch, expected: ExpectedRows, constant: float, each: float
) -> list[int]:
    """Return the rows of all runs of a peer that takes `constant` seconds and `each` a row.

    It is measured once, for at most a second, and its first run is over 64 rows.
    """
    rows_of_runs: list[int] = []

    class TimedWorker:
        def __init__(self, *_: object) -> None:
            self._rows = 0

        def request(self, message: Mapping[str, Any], _: float) -> dict[str, Any]:
            if message["do"] == "prepare":
                self._rows = message["inputs"]
                return {"version": None, "compile": 0.0, "load": 0.0, "prepare": 0.0}
            rows_of_runs.append(self._rows)
            return {
                "seconds": constant + each * self._rows,
                "categories": expected.categories_of_first(self._rows).tolist(),
                "computed_edges": None,
            }

        def close(self) -> None:
            pass

    monkeypatch.setattr("bench.runner.Worker", TimedWorker)
    plan = Plan(ChallengeProblem(64, 2, INPUTS, seed=0), 1, "openmp", 1, 1.0, trial_rows=64)
    (row,) = measure([ScipyCsr()], plan, expected, lambda doing, done: None)
    assert (row.status, row.inputs) == ("ok", rows_of_runs[-1])
    assert len(row.inference_seconds) == 1
    return rows_of_runs


def test_a_constant_time_does_not_reduce_the_rows(
    monkeypatch: pytest.MonkeyPatch, expected: ExpectedRows
) -> None:
    # 64 rows take 0.106 s, so the first estimate is 601 rows, which take 0.16 s only.
    assert _rows_of_runs(monkeypatch, expected, 0.1, 1e-4) == [64, 64, 601, 601, INPUTS, INPUTS]


def test_a_slow_peer_gets_the_rows_that_fit(
    monkeypatch: pytest.MonkeyPatch, expected: ExpectedRows
) -> None:
    assert _rows_of_runs(monkeypatch, expected, 0.0, 2.0**-10) == [64, 64, 1024, 1024, 1024]


def test_a_very_slow_peer_gets_the_rows_of_the_first_run(
    monkeypatch: pytest.MonkeyPatch, expected: ExpectedRows
) -> None:
    assert _rows_of_runs(monkeypatch, expected, 0.0, 1.0) == [64, 64, 64]
