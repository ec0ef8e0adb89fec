"""The fused workunit of kkspdnn as a candidate."""

from __future__ import annotations

from bench.ceiling.tiled_problem import TileCandidate, TiledProblem


class FusedWorkunit(TileCandidate):
    """Launches of the fused engine, each of up to `depth` layers."""

    def __init__(self, problem: TiledProblem, depth: int) -> None:
        super().__init__(problem)
        self._depth = depth

    def run(self, layers: int) -> None:
        """Compute the first `layers` layers for all rows."""
        position = 0
        while position < layers:
            layer = self.problem.layers[position]
            depth = min(self._depth, layer.group_remaining, layers - position)
            self.problem.engine.kernels.compute(self.tiles, layer, depth)
            position += depth
        self.wait()
