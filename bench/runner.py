"""Measure peers: check the categories of each, then time all of them in turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bench.expected_results import ExpectedRows
from bench.peer import Peer
from bench.problem import ProblemDescription
from bench.processes import Worker, WorkerError
from kkspdnn.records.comparison import PeerResult
from kkspdnn.records.run import categories_sha256

_TIME_LIMIT = 300.0
"""Seconds for preparing, and in addition to the expected time of a run."""

OnProgress = Callable[[str, float], None]
"""Called with the current step and the fraction done of the whole measurement, 0 to 1."""


@dataclass(frozen=True)
class Plan:
    """The problem, and how long each peer is measured.

    runs: timed runs of each peer
    seconds: maximum time of one run; slower peers get fewer rows
    trial_rows: input rows of the first run; its time determines the rows of the next one
    """

    problem: ProblemDescription
    threads: int
    space: str
    runs: int
    seconds: float
    trial_rows: int = 1000


class _MeasuredPeer:
    """The worker of a peer, and its row of the record so far."""

    def __init__(self, peer: Peer, plan: Plan, expected: ExpectedRows) -> None:
        self.row = PeerResult(peer.name, peer.label, "missing", peer.available(), gpu=peer.gpu)
        self._peer = peer
        self._plan = plan
        self._expected = expected
        self._worker: Worker | None = None
        self._time_limit = _TIME_LIMIT
        if self.row.why is None:
            self._worker = Worker("bench.worker", (peer.name, plan.space), plan.threads, peer.env)

    @property
    def running(self) -> bool:
        """Whether the peer is available and has not failed."""
        return self._worker is not None

    def warm_up(self) -> None:
        """Prepare the peer for more and more rows, until it has all rows or a run takes half of the
        maximum time.

        The time of a run determines the rows of the next one. One step is not enough: a peer whose
        time has a large constant part would get too few rows.
        """
        plan = self._plan
        inputs = plan.problem.inputs
        rows, next_rows = 0, min(inputs, plan.trial_rows)
        while next_rows > rows:
            rows = next_rows
            self._prepare(rows)
            self._run(rows)
            if rows < inputs:
                seconds = self._run(rows)
                if seconds < plan.seconds / 2:
                    next_rows = int(min(inputs, rows * plan.seconds / seconds))
        self.row = replace(self.row, inference_seconds=())

    def time(self) -> None:
        """Make one timed run."""
        if self.row.inputs is not None:
            self._run(self.row.inputs)

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def _prepare(self, rows: int) -> None:
        message = {
            "do": "prepare",
            "problem": self._plan.problem.to_message(),
            "inputs": rows,
            "threads": self._plan.threads,
        }
        answer = self._request(message)
        if answer is None:
            return
        compiled = self.row.compile_seconds
        self.row = replace(
            self.row,
            status="ok",
            version=answer["version"],
            threads=1 if self._peer.serial else self._plan.threads,
            inputs=rows,
            # Only the first call compiles; later calls use the cache.
            compile_seconds=answer["compile"] if compiled is None else compiled,
            load_seconds=answer["load"],
            prepare_seconds=answer["prepare"],
            bytes_per_edge=self._peer.bytes_per_edge,
        )

    def _run(self, rows: int) -> float:
        """Run once, compare the categories with the expected ones, and return the seconds."""
        answer = self._request({"do": "run"})
        if answer is None:
            return self._plan.seconds
        seconds = float(answer["seconds"])
        self._time_limit = _TIME_LIMIT + 100 * seconds
        categories = np.array(answer["categories"], np.int64)
        expected = self._expected.categories_of_first(rows)
        agrees = np.array_equal(categories, expected)
        if not agrees:
            missing = np.setdiff1d(expected, categories).size
            extra = np.setdiff1d(categories, expected).size
            self._fail(f"wrong categories: {missing} missing, {extra} extra")
        edges = answer["computed_edges"]
        if edges is None:
            edges = self._expected.computed_edges(self._peer.edge_counting, rows)
        self.row = replace(
            self.row,
            inference_seconds=(*self.row.inference_seconds, seconds),
            edges_multiplied=edges,
            categories=int(categories.size),
            categories_sha256=categories_sha256(categories),
            agrees=agrees,
        )
        return seconds

    def _request(self, message: dict[str, Any]) -> dict[str, Any] | None:
        if self._worker is None:
            return None
        try:
            return self._worker.request(message, self._time_limit)
        except WorkerError as error:
            self._fail(str(error))
            return None

    def _fail(self, why: str) -> None:
        self.row = replace(self.row, status="failed", why=why)
        self.close()


def measure(
    peers: list[Peer], plan: Plan, expected: ExpectedRows, on_progress: OnProgress
) -> tuple[PeerResult, ...]:
    """Measure the peers and return a row for each, in their order.

    All peers are prepared and warmed up first. Then they are timed in turns, so that a temporary
    disturbance of the machine slows all of them down.
    """
    measured = [_MeasuredPeer(peer, plan, expected) for peer in peers]
    try:
        for position, peer in enumerate(measured):
            on_progress(f"warming up {peer.row.name}", position / len(measured) / 2)
            if peer.running:
                peer.warm_up()
        for run in range(plan.runs):
            for position, peer in enumerate(measured):
                done = (run + position / len(measured)) / plan.runs
                on_progress(f"run {run + 1} of {plan.runs}: {peer.row.name}", 0.5 + done / 2)
                if peer.running:
                    peer.time()
    finally:
        for peer in measured:
            peer.close()
    return tuple(peer.row for peer in measured)
