"""Rates that others have published: other machines, kept apart from all that is measured here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kkspdnn.io.json_schema import decode, read_json
from kkspdnn.records.pruning_study import Pattern

_FILE = Path(__file__).parents[1] / "data" / "published.json"


@dataclass(frozen=True)
class System:
    """rates: edges/s of "neurons-layers"; exact: whether it computes the challenge exactly."""

    name: str
    machine: str
    source: str
    exact: bool
    rates: dict[str, float]

    def rate(self, neurons: int, layers: int) -> float | None:
        """Edges/s for a network of the challenge, where published."""
        return self.rates.get(f"{neurons}-{layers}")


@dataclass(frozen=True)
class Speedup:
    """The lowest and highest published speed-up over the serial reference."""

    low: float
    high: float
    source: str


@dataclass(frozen=True)
class Nodes:
    """How many times as fast as one node so many nodes were."""

    name: str
    nodes: int
    speedup: float
    source: str


@dataclass(frozen=True)
class PosterRow:
    """The lowest and highest rate, edges/s, over the numbers of layers."""

    name: str
    low: float
    high: float


@dataclass(frozen=True)
class Poster:
    """A table of rates for one number of neurons."""

    machine: str
    neurons: int
    source: str
    rows: tuple[PosterRow, ...]


@dataclass(frozen=True)
class PrunedTime:
    """Of one inference. sparsity: the part of the weights that is gone."""

    pattern: Pattern
    sparsity: float
    microseconds: float


@dataclass(frozen=True)
class Workload:
    """A network, or a layer of one, in several patterns; the first time is the dense one's."""

    name: str
    times: tuple[PrunedTime, ...]

    def speedups(self) -> dict[Pattern, float]:
        """Over dense, by pattern."""
        dense, *others = self.times
        return {each.pattern: dense.microseconds / each.microseconds for each in others}


@dataclass(frozen=True)
class Perplexity:
    """Of a language model, an LSTM on PTB, the lower the better: by percent of the weights that are
    gone. parts: what a pattern's blocks are, as published; a balanced block is so many inputs of a
    neuron."""

    pattern: Pattern
    parts: str
    values: dict[str, float]


@dataclass(frozen=True)
class Pruning:
    """What was published of networks that are pruned in the patterns that kkspdnn prunes in."""

    name: str
    machine: str
    source: str
    workloads: tuple[Workload, ...]
    perplexities: tuple[Perplexity, ...]


@dataclass(frozen=True)
class Published:
    """All of kkspdnn/data/published.json."""

    unit: str
    systems: tuple[System, ...]
    speedup: Speedup
    nodes: Nodes
    poster: Poster
    pruning: Pruning


def published() -> Published:
    """What others have published, with sources."""
    return decode(Published, read_json(_FILE), str(_FILE))


def other_machines(neurons: int, layers: int) -> list[str]:
    """Lines for the terminal: published rates for this network, marked as other machines'."""
    rows = []
    for system in published().systems:
        rate = system.rate(neurons, layers)
        if rate is not None:
            lossy = "" if system.exact else ", lossy"
            rows.append(f"  {system.name} ({system.machine}{lossy})".ljust(52) + f"{rate:.3g}")
    if not rows:
        return [f"nothing published for {neurons} neurons and {layers} layers"]
    return ["published, OTHER MACHINES, not measured here:".ljust(52) + "edges/s", *rows]
