"""A network and input rows in the fused engine's format, as every candidate receives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kkspdnn.device.launch_parameters import LaunchParameters
from kkspdnn.device.space import Space
from kkspdnn.engines.fused.engine import FusedEngine
from kkspdnn.engines.fused.layer import FusedLayer
from kkspdnn.engines.fused.tile_shape import TileShape
from kkspdnn.engines.fused.tiles import Tiles
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.errors import InputError
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network


@dataclass(frozen=True, eq=False)
class TiledProblem:
    """The packed layers of a network, without early exit of rows, and input rows."""

    engine: FusedEngine
    layers: Sequence[FusedLayer]
    shape: TileShape
    inputs: Inputs

    @classmethod
    def of(cls, space: Space, network: Network, inputs: Inputs) -> TiledProblem:
        """Pack the layers and compile the workunits.

        Raises InputError if the packed layers do not fit into memory.
        """
        engine = FusedEngine(space, network.dtype, network.ymax, "none")
        packed = LayerStore(network, engine, network.dtype)
        engine.warm_up(packed, inputs)
        if packed.resident < len(packed):
            raise InputError("not all layers fit into memory; use fewer --layers")
        shape = TileShape.of(space, network.dtype, packed.widest)
        return cls(engine, list(packed), shape, inputs)

    def with_launch(self, launch: LaunchParameters) -> TiledProblem:
        """Return the same packed layers and rows with another shape of tiles and teams.

        launch: has the same `Packing`
        """
        space = replace(self.shape.space, launch=launch)
        engine = FusedEngine(space, self.shape.dtype, float(self.engine.ymax), "none")
        assert engine.kernels.packing == self.engine.kernels.packing
        shape = TileShape.of(space, self.shape.dtype, self.shape.widest)
        return replace(self, engine=engine, shape=shape)


class TileCandidate:
    """Base class of a candidate: it owns tiles with the input rows; subclasses compute layers."""

    def __init__(self, problem: TiledProblem) -> None:
        self.problem = problem
        self.tiles = Tiles(problem.shape, problem.inputs.rows)

    def start(self) -> None:
        """Copy the input rows into the tiles."""
        self.tiles.load(self.problem.inputs, 0, self.problem.layers[0].input_permutation)
        self.wait()

    def wait(self) -> None:
        """Wait until all launches have finished."""
        self.problem.shape.space.synchronize()

    def values(self) -> NDArray[np.floating]:
        """Return the activations (rows, neurons), neurons in the order of the packed layers."""
        activations = self.problem.shape.space.to_host(self.tiles.activations).transpose(0, 2, 1)
        dense: NDArray[np.floating] = activations.reshape(-1, activations.shape[2])
        return dense[: self.problem.inputs.rows]


class LaunchCandidate(TileCandidate):
    """Base class of a candidate that launches up to `depth` layers at a time.

    first: number of the first layer that `run` computes; `start` computes those before it
    """

    def __init__(self, problem: TiledProblem, depth: int, first: int = 0) -> None:
        super().__init__(problem)
        self._depth = depth
        self._first = first

    def launch(self, layer: FusedLayer, depth: int) -> None:
        """Compute `depth` layers of the group of `layer`, starting with `layer`."""
        raise NotImplementedError

    def start(self) -> None:
        """Copy the input rows into the tiles, and compute the layers before the first one."""
        super().start()
        self._compute(0, self._first)

    def run(self, layers: int) -> None:
        """Compute `layers` layers for all rows."""
        self._compute(self._first, self._first + layers)

    def _compute(self, position: int, end: int) -> None:
        while position < end:
            layer = self.problem.layers[position]
            depth = min(self._depth, layer.group_remaining, end - position)
            self.launch(layer, depth)
            position += depth
        self.wait()
