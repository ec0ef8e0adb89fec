"""The project's own fused workunit."""

from __future__ import annotations

from bench.ceiling.work import OnTiles, Work


class Ours(OnTiles):
    """The fused engine's launches, each of up to `depth` layers."""

    def __init__(self, work: Work, depth: int) -> None:
        super().__init__(work)
        self._depth = depth

    def run(self, layers: int) -> None:
        """Take all rows through the first so many layers."""
        position = 0
        while position < layers:
            layer = self.work.layers[position]
            depth = min(self._depth, layer.following, layers - position)
            self.work.engine.kernels.compute(self.tiles, layer, depth)
            position += depth
        self.wait()
