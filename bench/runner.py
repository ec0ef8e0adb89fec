"""Measuring all implementations: warm up and check each, then time them in turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.peer import Peer
from bench.processes import Worker, WorkerError
from bench.truth import Truth
from kkspdnn.records.comparison import Row
from kkspdnn.records.run import categories_sha256

_FIRST_ROWS = 1000
"""A run over so many rows tells how long one over all would take."""

_PATIENCE = 300.0
"""Seconds for preparing, and beside the expected time of a run."""

Tell = Callable[[str, float], None]
"""Called with what is being done and how much of all is done, 0 to 1."""


@dataclass(frozen=True)
class Plan:
    """
    What to measure, and how long. inputs: rows of the problem; runs: timed ones of each
    implementation; seconds: a run that would take longer is done over fewer rows.
    """

    neurons: int
    layers: int
    inputs: int
    seed: int
    data: Path | None
    threads: int
    space: str
    runs: int
    seconds: float

    def problem(self) -> dict[str, Any]:
        """As `kkspdnn.cli.problem.load_problem` takes it, but for the type of the folder."""
        return {
            "neurons": self.neurons,
            "layers": self.layers,
            "inputs": self.inputs,
            "seed": self.seed,
            "data": None if self.data is None else str(self.data.absolute()),
        }


class _Contestant:
    """A peer's worker and its row as far as it is known."""

    def __init__(self, peer: Peer, plan: Plan, truth: Truth) -> None:
        self.row = Row(peer.name, peer.label, "missing", peer.available(), gpu=peer.gpu)
        self._peer = peer
        self._plan = plan
        self._truth = truth
        self._worker: Worker | None = None
        self._longest = _PATIENCE
        if self.row.why is None:
            self._worker = Worker(
                "bench.worker", (peer.name, plan.space), plan.threads, peer.environment
            )

    @property
    def running(self) -> bool:
        """Whether it is still there to be timed."""
        return self._worker is not None

    def warm_up(self) -> None:
        """Prepare it for as many rows as its runs may take, and run it once."""
        plan = self._plan
        few = min(plan.inputs, _FIRST_ROWS)
        self._prepare(few)
        self._run(few)
        each = self._run(few) / few
        rows = int(min(plan.inputs, max(few, plan.seconds / each)))
        if rows > few:
            self._prepare(rows)
            self._run(rows)
        self.row = replace(self.row, inference_seconds=())

    def time(self) -> None:
        """One timed run more."""
        if self.row.inputs is not None:
            self._run(self.row.inputs)

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def _prepare(self, rows: int) -> None:
        question = {
            "do": "prepare",
            "problem": self._plan.problem(),
            "inputs": rows,
            "threads": self._plan.threads,
        }
        answer = self._ask(question)
        if answer is None:
            return
        compiled = self.row.compile_seconds
        self.row = replace(
            self.row,
            status="ok",
            version=answer["version"],
            threads=1 if self._peer.serial else self._plan.threads,
            inputs=rows,
            # the first time; later it finds all compiled
            compile_seconds=answer["compile"] if compiled is None else compiled,
            load_seconds=answer["load"],
            prepare_seconds=answer["prepare"],
            bytes_per_edge=self._peer.bytes_per_edge,
        )

    def _run(self, rows: int) -> float:
        """The seconds of one run, whose categories must be right."""
        answer = self._ask({"do": "run"})
        if answer is None:
            return self._plan.seconds
        seconds = float(answer["seconds"])
        self._longest = _PATIENCE + 100 * seconds
        found, expected = np.array(answer["categories"], np.int64), self._truth.of(rows)
        agrees = np.array_equal(found, expected)
        if not agrees:
            missing, extra = np.setdiff1d(expected, found).size, np.setdiff1d(found, expected).size
            self._failed(f"other categories: {missing} missing, {extra} extra")
        multiplied = answer["multiplied"]
        if multiplied is None:
            multiplied = self._truth.multiplied(self._peer.work, rows)
        self.row = replace(
            self.row,
            inference_seconds=(*self.row.inference_seconds, seconds),
            edges_multiplied=multiplied,
            categories=int(found.size),
            categories_sha256=categories_sha256(found),
            agrees=agrees,
        )
        return seconds

    def _ask(self, question: dict[str, Any]) -> dict[str, Any] | None:
        if self._worker is None:
            return None
        try:
            return self._worker.ask(question, self._longest)
        except WorkerError as error:
            self._failed(str(error))
            return None

    def _failed(self, why: str) -> None:
        self.row = replace(self.row, status="failed", why=why)
        self.close()


def measure(peers: list[Peer], plan: Plan, truth: Truth, tell: Tell) -> tuple[Row, ...]:
    """
    A row for each peer, in their order.

    First each is prepared, run over few rows, then over as many as it is timed with; then all are
    timed in turns, so that whatever slows the machine down for a while slows down all of them.
    """
    contestants = [_Contestant(peer, plan, truth) for peer in peers]
    try:
        for place, each in enumerate(contestants):
            tell(f"warming up {each.row.name}", place / len(contestants) / 2)
            if each.running:
                each.warm_up()
        for number in range(plan.runs):
            for place, each in enumerate(contestants):
                done = (number + place / len(contestants)) / plan.runs
                tell(f"run {number + 1} of {plan.runs}: {each.row.name}", 0.5 + done / 2)
                if each.running:
                    each.time()
    finally:
        for each in contestants:
            each.close()
    return tuple(each.row for each in contestants)
