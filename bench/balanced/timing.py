"""Time the networks of `train` with dense and sparse libraries and with kkspdnn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import kkspdnn as kk
from bench.balanced.candidate import Candidate
from bench.balanced.candidates import cpu_candidates
from bench.balanced.gpu_candidates import gpu_candidates
from bench.balanced.training import sparsity
from bench.processes import Worker, WorkerError
from kkspdnn.choices import METHODS, SpaceName
from kkspdnn.errors import InputError
from kkspdnn.records.pruning_study import Pattern, Timing

ROWS = (1, 2, 4, 8, 16, 64, 256, 4096)
SPARSITIES = (0.8, 0.9, 0.95)
_TIME_LIMIT = 300.0
"""Maximum seconds for an answer of a worker."""

Log = Callable[[str], None]


@dataclass(frozen=True)
class _TimedNetwork:
    """A network of `train`.

    name: of its folder
    requested: the sparsity to which its layers were pruned; None if it is dense
    sparsity: the fraction of all weights that are pruned
    """

    name: str
    pattern: Pattern
    requested: float | None
    sparsity: float


_Turn = tuple[str, _TimedNetwork]
"""The name of a candidate and the network that it runs."""


@dataclass(frozen=True)
class _Setting:
    """The numbers that all candidates of a turn have in common."""

    rows: int
    threads: int
    rounds: int
    space: SpaceName


def candidates(space: str) -> dict[str, Candidate]:
    """Return the candidates of an execution space by their names."""
    return gpu_candidates() if space == "cuda" else cpu_candidates()


def read_network(folder: Path, name: str) -> kk.Network:
    """Read a network that `train` wrote. Raises InputError if it does not exist."""
    return kk.read_npz_network(folder / name)


def read_layer_sizes(folder: Path) -> tuple[int, ...]:
    """Return the neurons of each layer of the dense network, the input layer first."""
    network = read_network(folder, "dense")
    return network.inputs, *(layer.outputs for layer in network.layers)


def measure(
    folder: Path,
    sparsities: Sequence[float],
    rows: Sequence[int],
    threads: Sequence[int],
    rounds: int,
    space: SpaceName,
    log: Log,
) -> list[Timing]:
    """Time all candidates in turns, `rounds` times, for all numbers of rows and threads.

    sparsities: of the pruned networks. The dense network is the same for all of them, so the dense
    candidates have one turn in each round.

    Every candidate has a process of its own, which is stopped while the others run, so that its
    spinning threads do not take their cores. Candidates that this machine lacks are logged and
    skipped. Raises InputError if the folder lacks a network of `train`, or a candidate fails.
    """
    networks = _read_networks(folder, sparsities)
    available: dict[str, Candidate] = {}
    for name, candidate in candidates(space).items():
        reason = candidate.missing()
        if reason is None:
            available[name] = candidate
        else:
            log(f"{name} is skipped: {reason}")
    turns: list[_Turn] = [
        (name, network)
        for name, candidate in available.items()
        for network in networks
        if network.pattern in candidate.patterns
    ]
    timings: list[Timing] = []
    for count in threads:
        with _workers(available, folder, count, space) as workers:
            for batch in rows:
                timed = _in_turns(turns, workers, _Setting(batch, count, rounds, space))
                timings += timed
                for (_, network), timing in zip(turns, timed, strict=True):
                    log(
                        f"{batch:5} rows, {count} threads, {timing.implementation}, "
                        f"{network.name}: {1e3 * median(timing.seconds):.3f} ms, "
                        f"error {timing.max_abs_error:.2g}"
                    )
    return timings


def _read_networks(folder: Path, sparsities: Sequence[float]) -> list[_TimedNetwork]:
    names: list[tuple[str, Pattern, float | None]] = [("dense", "dense", None)]
    for requested in dict.fromkeys(sparsities):
        names += [(f"{method}-{requested:g}", method, requested) for method in METHODS]
    return [
        _TimedNetwork(name, pattern, requested, sparsity(read_network(folder, name)))
        for name, pattern, requested in names
    ]


@contextmanager
def _workers(
    available: Mapping[str, Candidate], folder: Path, threads: int, space: str
) -> Iterator[dict[str, Worker]]:
    with ExitStack() as stack:
        workers = {}
        for name, each in available.items():
            arguments = (name, space, str(folder.absolute()))
            workers[name] = Worker(each.module, arguments, threads, each.env, each.interpreter)
            stack.callback(workers[name].close)
        yield workers


def _in_turns(
    turns: Sequence[_Turn], workers: Mapping[str, Worker], setting: _Setting
) -> list[Timing]:
    def request(turn: _Turn, do: str) -> dict[str, Any]:
        name, network = turn
        message = {
            "do": do,
            "network": network.name,
            "rows": setting.rows,
            "threads": setting.threads,
        }
        try:
            return workers[name].request(message, _TIME_LIMIT)
        except WorkerError as error:
            raise InputError(f"{name}, {network.name}, {setting.rows} rows: {error}") from error

    errors = [request(turn, "prepare")["error"] for turn in turns]
    seconds: list[list[float]] = [[] for _ in turns]
    for _ in range(setting.rounds):
        for times, turn in zip(seconds, turns, strict=True):
            times.append(request(turn, "run")["seconds"])
    for turn in turns:
        request(turn, "release")
    return [
        Timing(
            implementation=name,
            pattern=network.pattern,
            sparsity=network.sparsity,
            rows=setting.rows,
            seconds=tuple(times),
            max_abs_error=error,
            threads=setting.threads,
            space=setting.space,
            requested_sparsity=network.requested,
        )
        for (name, network), error, times in zip(turns, errors, seconds, strict=True)
    ]
