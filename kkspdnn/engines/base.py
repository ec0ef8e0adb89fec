"""The interface of an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from kkspdnn.choices import Exits
from kkspdnn.engines.exit_bounds import ExitBounds
from kkspdnn.engines.layer_store import LayerStore, Packer
from kkspdnn.engines.partial_result import PartialResult, RowSelector, Schedule
from kkspdnn.model.inputs import Inputs

ProgressCallback = Callable[[int], None]
"""Called after every layer with the number of input rows times layers that it settled."""


def no_progress(_settled: int) -> None:
    """The ProgressCallback that tells nobody."""


class EngineRun(Protocol):
    """A run of an engine over input rows. Iterate over it, once, for the partial results."""

    @property
    def schedule(self) -> Schedule:
        """How the run went through rows and layers; complete after the last partial result."""

    def __iter__(self) -> Iterator[PartialResult]:
        """Compute the partial results, one block of input rows after the other."""


class Engine(Packer, Protocol):
    """One way through a network. Prepared layers are what its workunits take."""

    ymax: Any
    """The upper limit of the ReLU in the engine's dtype, may be infinite."""
    in_csr: bool
    """Whether activations are CSR, as `PartialResult` has them, and not tiles."""

    @property
    def exits(self) -> Exits:
        """Which rows leave early; none where `compute_exit_bounds` finds that no row can."""

    @property
    def ends(self) -> Sequence[ExitBounds]:
        """Which rows leave before each layer, and after the last one; empty before
        `compute_exit_bounds`, and where none ever does."""

    def warm_up(self, layers: LayerStore, inputs: Inputs) -> None:
        """Compile and launch once all that `run` will launch for these layers and inputs."""

    def compute_exit_bounds(self, layers: LayerStore, inputs: Inputs) -> None:
        """Find out, once for a network, what lets rows leave early; after `warm_up` for rows of the
        same kind, and before `run`."""

    def allocate(self, layers: LayerStore, inputs: Inputs) -> None:
        """Take the memory for the activations of a run over these inputs, once, before `run`."""

    def run(
        self,
        layers: LayerStore,
        inputs: Inputs,
        wanted: RowSelector | None,
        report: ProgressCallback,
    ) -> EngineRun:
        """All layers over all of `inputs`, with at most `layers.rows` rows in memory at a time: the
        outcome of one part of the rows after the other, with the values of those that are wanted.
        """
