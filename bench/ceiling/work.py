"""The layers and input rows that all contenders go through: all that they know of the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kkspdnn.device.space import Space
from kkspdnn.engines.fused.engine import FusedEngine
from kkspdnn.engines.fused.layer import FusedLayer
from kkspdnn.engines.fused.tiles import Shape, Tiles
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.errors import InputError
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network


@dataclass(frozen=True, eq=False)
class Work:
    """A network as the fused engine prepared and arranged it, no row leaving, and input rows."""

    engine: FusedEngine
    layers: Sequence[FusedLayer]
    shape: Shape
    inputs: Inputs

    @classmethod
    def of(cls, space: Space, network: Network, inputs: Inputs) -> Work:
        """Prepare it, and compile all that it needs. Raises InputError where it does not fit into
        memory."""
        engine = FusedEngine(space, network.dtype, network.ymax, "none")
        prepared = LayerStore(network, engine, network.dtype)
        engine.warm_up(prepared, inputs)
        if prepared.held < len(prepared):
            raise InputError("the layers do not fit into memory together; use fewer --layers")
        shape = Shape.of(space, network.dtype, prepared.widest)
        return cls(engine, list(prepared), shape, inputs)


class OnTiles:
    """The input rows in tiles of its own; a subclass takes them through the layers."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.tiles = Tiles(work.shape, work.inputs.rows)

    def start(self) -> None:
        """Put the input rows into the tiles."""
        self.tiles.load(self.work.inputs, 0, self.work.layers[0].sources)
        self.wait()

    def wait(self) -> None:
        """Until all that was launched is done."""
        self.work.shape.space.synchronize()

    def values(self) -> NDArray[np.floating]:
        """The activations (rows, neurons), neurons in the order of the prepared layers."""
        front = self.work.shape.space.to_host(self.tiles.front).transpose(0, 2, 1)
        dense: NDArray[np.floating] = front.reshape(-1, front.shape[2])
        return dense[: self.work.inputs.rows]
