"""The worker process of one peer: `python -m bench.worker NAME SPACE`.

Reads one JSON object per line and answers each with one JSON object: first
{"do": "prepare", "problem": {…}, "inputs": rows, "threads": n}, then any number of {"do": "run"}.
The standard output of libraries goes to standard error.
"""

from __future__ import annotations

import sys
from time import perf_counter
from typing import Any

from bench.peer import Peer
from bench.peers import all_peers
from bench.problem import problem_from
from bench.processes import serve
from kkspdnn.cli.problem import Problem


def main() -> int:
    """Answer requests until stdin or the parent process ends."""
    peer = all_peers(sys.argv[2])[sys.argv[1]]
    loaded: tuple[Problem, float] | None = None

    def answer(message: dict[str, Any]) -> dict[str, Any]:
        nonlocal loaded
        if message["do"] == "prepare":
            loaded = loaded or _load(message["problem"])
            return _prepare(peer, message, *loaded)
        return _run(peer)

    return serve(answer)


def _load(description: dict[str, Any]) -> tuple[Problem, float]:
    """Return the problem and the seconds that loading took."""
    begun = perf_counter()
    problem = problem_from(description).load()
    return problem, perf_counter() - begun


def _prepare(
    peer: Peer, message: dict[str, Any], problem: Problem, load_seconds: float
) -> dict[str, Any]:
    inputs = problem.inputs.slice(0, message["inputs"])
    begun = perf_counter()
    compile_seconds = peer.prepare(problem.network, inputs, message["threads"])
    return {
        "load": load_seconds,
        "compile": compile_seconds,
        "prepare": perf_counter() - begun - compile_seconds,
        "version": peer.version(),
    }


def _run(peer: Peer) -> dict[str, Any]:
    begun = perf_counter()
    result = peer.run()
    seconds = perf_counter() - begun
    return {
        "seconds": seconds if result.seconds is None else result.seconds,
        "computed_edges": result.computed_edges,
        "categories": result.categories.tolist(),
    }


if __name__ == "__main__":
    sys.exit(main())
