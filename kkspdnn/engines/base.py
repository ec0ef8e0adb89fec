"""The interface of an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from kkspdnn.choices import Epilogue, Exits
from kkspdnn.engines.exit_bounds import ExitBounds
from kkspdnn.engines.layer_store import LayerStore, Packer
from kkspdnn.engines.partial_result import PartialResult, RowSelector, Schedule
from kkspdnn.model.inputs import Inputs

ProgressCallback = Callable[[int], None]
"""Called after each layer with the number of completed input rows times layers."""


def no_progress(_completed: int) -> None:
    """A progress callback that does nothing."""


class EngineRun(Protocol):
    """A run of an engine over input rows. Iterate over it, once, for the partial results."""

    @property
    def schedule(self) -> Schedule:
        """The schedule of the run; complete after the last partial result."""

    def __iter__(self) -> Iterator[PartialResult]:
        """Compute the partial results, one block of input rows after the other."""


class Engine(Packer, Protocol):
    """Runs a network with one kind of kernel.

    Call `warm_up`, `compute_exit_bounds` and `allocate` before `run`; `allocate` may be left out.
    """

    ymax: Any
    """The upper limit of the ReLU in the engine's dtype, may be infinite."""
    sparse: bool
    """Whether activations are sparse, and not in tiles."""

    @property
    def exits(self) -> Exits:
        """The rows that exit early. `compute_exit_bounds` sets it to none if no row can."""

    @property
    def epilogue(self) -> Epilogue | None:
        """How bias and ReLU of SpGEMM are computed; None for the fused engine."""

    @property
    def exit_bounds(self) -> Sequence[ExitBounds]:
        """The bounds before each layer and after the last one. Empty before `compute_exit_bounds`,
        and for an engine without early exit."""

    def warm_up(self, layers: LayerStore, inputs: Inputs) -> None:
        """Compile all workunits that `run` launches for these layers and inputs, and launch each
        of them once."""

    def compute_exit_bounds(self, layers: LayerStore, inputs: Inputs) -> None:
        """Compute the bounds that retire rows early, once for a network and a format of inputs."""

    def allocate(self, layers: LayerStore, inputs: Inputs) -> None:
        """Allocate the buffers of a run over these inputs."""

    def run(
        self,
        layers: LayerStore,
        inputs: Inputs,
        row_selector: RowSelector | None,
        on_progress: ProgressCallback,
    ) -> EngineRun:
        """Return a run of all layers over all rows of `inputs`.

        At most `layers.max_rows` rows are in memory at a time, or more sparse rows if they fit too.

        row_selector: selects the rows whose values are kept; None: no values are kept
        """
