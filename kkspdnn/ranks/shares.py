"""Data parallel: every rank takes parts of the input rows through the whole network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kkspdnn.engines import Engine, Outcome, Report, Wanted
from kkspdnn.engines.outcome import joined
from kkspdnn.engines.prepared import PreparedLayers
from kkspdnn.inputs import Inputs
from kkspdnn.ranks.parts import Part


class Shares:
    """This rank's parts of the rows and all layers.

    keep: of which rows, numbered among all, the values are kept; None: of none
    """

    def __init__(
        self,
        engine: Engine,
        layers: PreparedLayers,
        inputs: Inputs,
        parts: Sequence[Part],
        keep: Wanted | None,
    ) -> None:
        self._engine = engine
        self._layers = layers
        self._keep = keep
        # Taken now, so that rows lie in memory as the engine takes them before it is timed.
        self._parts = [(part, part.take(inputs)) for part in parts]
        self.rows = sum(rows.rows for _, rows in self._parts)
        self.depth = len(layers)

    def take_room(self) -> None:
        """Take the memory for activations."""
        if self._parts:
            self._engine.take_room(self._layers, self._parts[0][1])

    def outcomes(self, report: Report) -> Iterator[tuple[Part, Outcome]]:
        """What comes out of one part after the other, with rows numbered among all."""
        layers, values = self._layers, self._keep is not None
        for part, rows in self._parts:
            found = self._engine.run(layers, rows, part.wanted(self._keep), report)
            whole = joined(found, layers.outputs, layers.dtype, values)
            yield part, part.outcome(whole)
