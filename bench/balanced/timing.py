"""Times of the networks of `train` as dense, CSR, block-sparse and fan-in matrices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import kkspdnn as kk
from bench.balanced.contenders import Contender, on_cpu
from bench.balanced.on_gpu import on_gpu
from bench.processes import Worker, WorkerError
from kkspdnn.choices import METHODS, SpaceName
from kkspdnn.errors import InputError
from kkspdnn.records.pruning_study import Pattern, Timing

_SPARSITY = "0.9"
_PATIENCE = 300.0
"""Seconds for an answer."""

Tell = Callable[[str], None]


def contenders(space: str) -> dict[str, Contender]:
    """All that run in an execution space, by their names."""
    return on_gpu() if space == "cuda" else on_cpu()


def network_of(folder: Path, pattern: str) -> kk.Network:
    """A network of `train`; InputError where there is none."""
    return kk.read_npz_network(
        folder / (pattern if pattern == "dense" else f"{pattern}-{_SPARSITY}")
    )


def measure(
    folder: Path,
    rows: Sequence[int],
    threads: Sequence[int],
    rounds: int,
    space: SpaceName,
    tell: Tell,
) -> list[Timing]:
    """
    Every contender in turn, `rounds` times, for all numbers of rows and threads; what is missing
    here is told and left out.

    Each is in a process of its own, which is stopped while others run, so that no library's
    threads wait on the cores of another. InputError for a folder without the networks of `train`,
    and for a contender that fails.
    """
    for pattern in ("dense", *METHODS):
        network_of(folder, pattern)
    here: dict[str, Contender] = {}
    for name, each in contenders(space).items():
        reason = each.missing()
        if reason is None:
            here[name] = each
        else:
            tell(f"{name} is left out: {reason}")
    found: list[Timing] = []
    for count in threads:
        with _workers(here, folder, count, space) as workers:
            for many in rows:
                timed = _in_turns(here, workers, many, count, rounds, space)
                found += timed
                for one in timed:
                    tell(
                        f"{many:5} rows, {count} threads, {one.implementation}, {one.pattern}: "
                        f"{1e3 * median(one.seconds):.3f} ms, error {one.max_abs_error:.2g}"
                    )
    return found


@contextmanager
def _workers(
    here: Mapping[str, Contender], folder: Path, threads: int, space: str
) -> Iterator[dict[str, Worker]]:
    with ExitStack() as stack:
        found = {}
        for name, each in here.items():
            given = (name, space, str(folder.absolute()))
            found[name] = Worker("bench.balanced.worker", given, threads, each.environment)
            stack.callback(found[name].close)
        yield found


def _in_turns(
    here: Mapping[str, Contender],
    workers: Mapping[str, Worker],
    rows: int,
    threads: int,
    rounds: int,
    space: SpaceName,
) -> list[Timing]:
    def ask(name: str, pattern: Pattern, **question: object) -> dict[str, float]:
        try:
            return workers[name].ask({"pattern": pattern, **question}, _PATIENCE)
        except WorkerError as error:
            raise InputError(f"{name}, {pattern}, {rows} rows: {error}") from error

    turns = [(name, pattern) for name, each in here.items() for pattern in each.patterns]
    known = [ask(*turn, do="prepare", rows=rows, threads=threads) for turn in turns]
    seconds: list[list[float]] = [[] for _ in turns]
    for _ in range(rounds):
        for times, turn in zip(seconds, turns, strict=True):
            times.append(ask(*turn, do="run")["seconds"])
    return [
        Timing(name, pattern, each["sparsity"], rows, tuple(times), each["error"], threads, space)
        for (name, pattern), each, times in zip(turns, known, seconds, strict=True)
    ]
