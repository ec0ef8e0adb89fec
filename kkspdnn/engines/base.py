"""The interface of an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from kkspdnn.choices import Exits
from kkspdnn.engines.exit_bounds import ExitBounds
from kkspdnn.engines.layer_store import Packer, PreparedLayers
from kkspdnn.engines.partial_result import Order, Outcome, Wanted
from kkspdnn.model.inputs import Inputs

Report = Callable[[int], None]
"""Called after every layer with the number of input rows times layers that it settled."""


def silent(_settled: int) -> None:
    """The Report that tells nobody."""


class Engine(Packer, Protocol):
    """One way through a network. Prepared layers are what its workunits take."""

    exits: Exits
    order: Order
    """Of the last run."""
    ymax: Any
    """The upper limit of the ReLU in the engine's dtype, may be infinite."""
    in_csr: bool
    """Whether activations are CSR, as `Outcome` has them, and not tiles."""
    ends: Sequence[ExitBounds]
    """Which rows leave before each layer, and after the last one; empty before `prove`, and where
    none ever does."""

    def warm_up(self, layers: PreparedLayers, inputs: Inputs) -> None:
        """Compile and launch once all that `run` will launch for these layers and inputs."""

    def prove(self, layers: PreparedLayers, inputs: Inputs) -> None:
        """Find out, once for a network, what lets rows leave early; after `warm_up` for rows of the
        same kind, and before `run`."""

    def take_room(self, layers: PreparedLayers, inputs: Inputs) -> None:
        """Take the memory for the activations of a run over these inputs, once, before `run`."""

    def run(
        self, layers: PreparedLayers, inputs: Inputs, wanted: Wanted | None, report: Report
    ) -> Iterator[Outcome]:
        """All layers over all of `inputs`, with at most `layers.rows` rows in memory at a time: the
        outcome of one part of the rows after the other, with the values of those that are wanted.
        """
