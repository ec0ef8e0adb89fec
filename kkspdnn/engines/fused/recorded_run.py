"""A run of the fused engine whose launches are recorded with the layers that they compute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kkspdnn.engines.fused.kernels import FusedKernels
from kkspdnn.engines.fused.layer import FusedLayer
from kkspdnn.engines.fused.schedule import FusedRun
from kkspdnn.engines.fused.tiles import Tiles
from kkspdnn.pk.runtime.launch_times import computing_layers


class RecordedFusedRun(FusedRun):
    """A `FusedRun` for `time_launches`. Other runs spend no time on recorders."""

    def __init__(self, *, kernels: FusedKernels, **options: Any) -> None:
        """Take the arguments of `FusedRun`."""
        self._position = 0
        recorded = _RecordedKernels(kernels.space, kernels.dtype, lambda: self._position)
        super().__init__(kernels=recorded, **options)

    def _launch_layers(
        self, rows: Tiles, position: int, depth: int, layer: FusedLayer
    ) -> list[FusedLayer]:
        self._position = position
        return super()._launch_layers(rows, position, depth, layer)


@dataclass(frozen=True)
class _RecordedKernels(FusedKernels):
    """position: returns the index of the first layer of the next launch of `compute`."""

    position: Callable[[], int]

    def compute(self, rows: Tiles, layer: FusedLayer, depth: int, ranges: bool = False) -> None:
        first = self.position()
        with computing_layers(range(first, first + depth), rows.rows):
            super().compute(rows, layer, depth, ranges)

    def count_inputs(self, counts: Tiles, first: FusedLayer, ranges: bool = False) -> None:
        with computing_layers(range(1), counts.rows):
            super().count_inputs(counts, first, ranges)

    def compute_from_counts(
        self,
        rows: Tiles,
        counts: Tiles,
        first: FusedLayer,
        following: Sequence[FusedLayer] = (),
        ranges: bool = False,
    ) -> None:
        # `count_inputs` added the rows of the first layer.
        added = rows.rows if following else 0
        with computing_layers(range(1 + len(following)), added):
            super().compute_from_counts(rows, counts, first, following, ranges)
