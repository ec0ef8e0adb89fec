"""Time the networks of `train` with dense, CSR and block-sparse libraries and with kkspdnn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import kkspdnn as kk
from bench.balanced.candidates import Candidate, cpu_candidates
from bench.balanced.gpu_candidates import gpu_candidates
from bench.processes import Worker, WorkerError
from kkspdnn.choices import METHODS, SpaceName
from kkspdnn.errors import InputError
from kkspdnn.records.pruning_study import Pattern, Timing

_SPARSITY = "0.9"
_TIME_LIMIT = 300.0
"""Maximum seconds for an answer of a worker."""

Log = Callable[[str], None]


def candidates(space: str) -> dict[str, Candidate]:
    """Return the candidates of an execution space by their names."""
    return gpu_candidates() if space == "cuda" else cpu_candidates()


def read_pruned_network(folder: Path, pattern: str) -> kk.Network:
    """Read a network that `train` wrote. Raises InputError if it does not exist."""
    return kk.read_npz_network(
        folder / (pattern if pattern == "dense" else f"{pattern}-{_SPARSITY}")
    )


def measure(
    folder: Path,
    rows: Sequence[int],
    threads: Sequence[int],
    rounds: int,
    space: SpaceName,
    log: Log,
) -> list[Timing]:
    """Time all candidates in turns, `rounds` times, for all numbers of rows and threads.

    Every candidate has a process of its own, which is stopped while the others run, so that its
    spinning threads do not take their cores. Candidates that this machine lacks are logged and
    skipped. Raises InputError if the folder lacks a network of `train`, or a candidate fails.
    """
    for pattern in ("dense", *METHODS):
        read_pruned_network(folder, pattern)
    available: dict[str, Candidate] = {}
    for name, candidate in candidates(space).items():
        reason = candidate.missing()
        if reason is None:
            available[name] = candidate
        else:
            log(f"{name} is skipped: {reason}")
    timings: list[Timing] = []
    for count in threads:
        with _workers(available, folder, count, space) as workers:
            for batch in rows:
                timed = _in_turns(available, workers, batch, count, rounds, space)
                timings += timed
                for timing in timed:
                    log(
                        f"{batch:5} rows, {count} threads, {timing.implementation}, "
                        f"{timing.pattern}: {1e3 * median(timing.seconds):.3f} ms, "
                        f"error {timing.max_abs_error:.2g}"
                    )
    return timings


@contextmanager
def _workers(
    available: Mapping[str, Candidate], folder: Path, threads: int, space: str
) -> Iterator[dict[str, Worker]]:
    with ExitStack() as stack:
        workers = {}
        for name, candidate in available.items():
            arguments = (name, space, str(folder.absolute()))
            workers[name] = Worker("bench.balanced.worker", arguments, threads, candidate.env)
            stack.callback(workers[name].close)
        yield workers


def _in_turns(
    available: Mapping[str, Candidate],
    workers: Mapping[str, Worker],
    rows: int,
    threads: int,
    rounds: int,
    space: SpaceName,
) -> list[Timing]:
    def request(name: str, pattern: Pattern, **message: object) -> dict[str, float]:
        try:
            return workers[name].request({"pattern": pattern, **message}, _TIME_LIMIT)
        except WorkerError as error:
            raise InputError(f"{name}, {pattern}, {rows} rows: {error}") from error

    turns = [(name, pattern) for name, each in available.items() for pattern in each.patterns]
    prepared = [request(*turn, do="prepare", rows=rows, threads=threads) for turn in turns]
    seconds: list[list[float]] = [[] for _ in turns]
    for _ in range(rounds):
        for times, turn in zip(seconds, turns, strict=True):
            times.append(request(*turn, do="run")["seconds"])
    return [
        Timing(
            name, pattern, answer["sparsity"], rows, tuple(times), answer["error"], threads, space
        )
        for (name, pattern), answer, times in zip(turns, prepared, seconds, strict=True)
    ]
