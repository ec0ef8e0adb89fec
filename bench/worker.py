"""
One implementation in a process of its own: `python -m bench.worker NAME SPACE`.

Reads one JSON object a line and answers each with one: {"do": "prepare", "problem": {…}, "inputs":
rows, "threads": n}, then any number of {"do": "run"}. What libraries print goes to stderr.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.peer import Peer
from bench.peers import all_peers
from bench.processes import answer_all
from kkspdnn.cli.problem import Problem, load_problem


def main() -> int:
    """Answer until stdin ends, or the process that asks does."""
    peer = all_peers(sys.argv[2])[sys.argv[1]]
    loaded: tuple[Problem, float] | None = None

    def answer(asked: dict[str, Any]) -> dict[str, Any]:
        nonlocal loaded
        if asked["do"] == "prepare":
            loaded = loaded or _load(asked["problem"])
            return _prepare(peer, asked, *loaded)
        return _run(peer)

    return answer_all(answer)


def _load(problem: dict[str, Any]) -> tuple[Problem, float]:
    begun = perf_counter()
    data = problem.pop("data")
    made = load_problem(data=None if data is None else Path(data), **problem)
    return made, perf_counter() - begun


def _prepare(
    peer: Peer, asked: dict[str, Any], problem: Problem, load_seconds: float
) -> dict[str, Any]:
    inputs = problem.inputs.slice(0, asked["inputs"])
    begun = perf_counter()
    compile_seconds = peer.prepare(problem.network, inputs, asked["threads"])
    return {
        "load": load_seconds,
        "compile": compile_seconds,
        "prepare": perf_counter() - begun - compile_seconds,
        "version": peer.version(),
    }


def _run(peer: Peer) -> dict[str, Any]:
    begun = perf_counter()
    answer = peer.run()
    seconds = perf_counter() - begun
    return {
        "seconds": seconds if answer.seconds is None else answer.seconds,
        "multiplied": answer.edges_multiplied,
        "categories": answer.categories.tolist(),
    }


if __name__ == "__main__":
    sys.exit(main())
