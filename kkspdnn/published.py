"""Rates that others have published: other machines, kept apart from all that is measured here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kkspdnn.decode import decode, read_json

_FILE = Path(__file__).parent / "data" / "published.json"


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
class Pruning:
    """The highest published speed-up of a pruned network over the dense one."""

    name: str
    most: float
    source: str


@dataclass(frozen=True)
class Published:
    """All of kkspdnn/data/published.json."""

    unit: str
    systems: tuple[System, ...]
    speedup: Speedup
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
