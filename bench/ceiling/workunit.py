"""The fused workunit of kkspdnn as a candidate."""

from __future__ import annotations

from bench.ceiling.tiled_problem import LaunchCandidate
from kkspdnn.engines.fused.layer import FusedLayer


class FusedWorkunit(LaunchCandidate):
    """Launches of the fused engine."""

    def launch(self, layer: FusedLayer, depth: int) -> None:
        """See LaunchCandidate."""
        self.problem.engine.kernels.compute(self.tiles, layer, depth)
