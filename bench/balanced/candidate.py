"""The interface of a candidate: an implementation that `python -m bench.balanced time` times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import kkspdnn as kk
from bench.balanced.runs import Run
from kkspdnn.records.pruning_study import Pattern


@dataclass(frozen=True, eq=False)
class Candidate:
    """An implementation, which runs in a process of its own.

    patterns: pruning patterns whose networks it runs
    prepare: returns the run of a network for input rows (rows, neurons) and a number of threads;
    None if it has a worker module of its own
    missing: returns what this machine lacks for it, or None
    env: environment variables that must be set before its process starts
    module: of its worker process
    interpreter: the Python of its process; None for this one
    """

    patterns: tuple[Pattern, ...]
    prepare: Callable[[kk.Network, Any, int], Run] | None
    missing: Callable[[], str | None] = lambda: None
    env: Mapping[str, str] = field(default_factory=dict)
    module: str = "bench.balanced.worker"
    interpreter: str | None = None
