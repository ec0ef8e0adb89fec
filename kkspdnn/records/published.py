"""Published results of other implementations on other machines, with their sources."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kkspdnn.io.json_schema import decode, read_json
from kkspdnn.records.pruning_study import Pattern

_FILE = Path(__file__).parents[1] / "data" / "published.json"


@dataclass(frozen=True)
class PublishedSystem:
    """Rates of one implementation on the challenge's networks.

    exact: whether its results are exact
    rates: edges/s by network, named "neurons-layers"
    """

    name: str
    machine: str
    source: str
    exact: bool
    rates: dict[str, float]

    def rate(self, neurons: int, layers: int) -> float | None:
        """Return edges/s for a network of the challenge; None if not published."""
        return self.rates.get(f"{neurons}-{layers}")


@dataclass(frozen=True)
class SpeedupRange:
    """The lowest and highest published speed-up over the serial reference.

    networks: which networks, and on which machines
    """

    name: str
    networks: str
    low: float
    high: float
    source: str


@dataclass(frozen=True)
class NodeSpeedup:
    """The speed-up of several nodes over one node."""

    name: str
    nodes: int
    speedup: float
    source: str


@dataclass(frozen=True)
class PosterRow:
    """The lowest and highest rate, edges/s, of an implementation on 120 to 1920 layers."""

    name: str
    low: float
    high: float


@dataclass(frozen=True)
class Poster:
    """A poster's table of rates for one number of neurons."""

    machine: str
    neurons: int
    source: str
    rows: tuple[PosterRow, ...]


@dataclass(frozen=True)
class PrunedTime:
    """The time of one inference; sparsity: the fraction of the weights that were pruned."""

    pattern: Pattern
    sparsity: float
    microseconds: float


@dataclass(frozen=True)
class Workload:
    """A network, or one of its layers, in several patterns; the first time is the dense one."""

    name: str
    times: tuple[PrunedTime, ...]

    def speedups(self) -> dict[Pattern, float]:
        """Return the speed-up over dense by pattern."""
        dense, *others = self.times
        return {each.pattern: dense.microseconds / each.microseconds for each in others}


@dataclass(frozen=True)
class Perplexity:
    """The perplexity of a language model, an LSTM on PTB; lower is better.

    parts: the blocks of the pattern, as published; for balanced, the inputs of a neuron in a block
    values: perplexity by the percentage of the weights that were pruned
    """

    pattern: Pattern
    parts: str
    values: dict[str, float]


@dataclass(frozen=True)
class Pruning:
    """Published results for the patterns of pruning that kkspdnn has."""

    name: str
    machine: str
    source: str
    workloads: tuple[Workload, ...]
    perplexities: tuple[Perplexity, ...]


@dataclass(frozen=True)
class Published:
    """The contents of kkspdnn/data/published.json."""

    unit: str
    systems: tuple[PublishedSystem, ...]
    speedup: SpeedupRange
    nodes: NodeSpeedup
    poster: Poster
    pruning: Pruning


def published() -> Published:
    """Return all published results."""
    return decode(Published, read_json(_FILE), str(_FILE))


def published_rates(neurons: int, layers: int) -> list[str]:
    """Return lines with the published rates for a network, marked as those of other machines."""
    lines = []
    for system in published().systems:
        rate = system.rate(neurons, layers)
        if rate is not None:
            lossy = "" if system.exact else ", lossy"
            lines.append(f"  {system.name} ({system.machine}{lossy})".ljust(52) + f"{rate:.3g}")
    if not lines:
        return [f"nothing published for {neurons} neurons and {layers} layers"]
    return ["published, OTHER MACHINES, not measured here:".ljust(52) + "edges/s", *lines]
