"""A run of the SpGEMM engine whose launches are recorded with the layers that they compute."""

from __future__ import annotations

from typing import Any, cast

from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.engines.spgemm.kernels import Activations, SpgemmKernels
from kkspdnn.engines.spgemm.layer import SpgemmLayer
from kkspdnn.engines.spgemm.run import SpgemmRun
from kkspdnn.pk.runtime.launch_times import computing_layers


class RecordedSpgemmRun(SpgemmRun):
    """A `SpgemmRun` for `time_launches`. Other runs spend no time on recorders."""

    def __init__(self, *, kernels: SpgemmKernels, layers: LayerStore, **options: Any) -> None:
        """Take the arguments of `SpgemmRun`."""
        accessed = _AccessedLayers(layers)
        super().__init__(
            kernels=cast(SpgemmKernels, _RecordedKernels(kernels, accessed)),
            layers=cast(LayerStore, accessed),
            **options,
        )


class _AccessedLayers:
    """A LayerStore with the index of the layer that was accessed last."""

    def __init__(self, layers: LayerStore) -> None:
        self._layers = layers
        self.last = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layers, name)

    def __len__(self) -> int:
        return len(self._layers)

    def __getitem__(self, position: int) -> Any:
        self.last = position
        return self._layers[position]


class _RecordedKernels:
    """The kernels; the layer that they compute is the one that was accessed last."""

    def __init__(self, kernels: SpgemmKernels, layers: _AccessedLayers) -> None:
        self._kernels = kernels
        self._layers = layers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kernels, name)

    def compute(self, y: Activations, layer: SpgemmLayer) -> tuple[Activations, int]:
        with computing_layers(self._layer, y.rows):
            return self._kernels.compute(y, layer)

    def multiply(self, y: Activations, layer: SpgemmLayer) -> tuple[Activations, int]:
        with computing_layers(self._layer, y.rows):
            return self._kernels.multiply(y, layer)

    # `multiply` added the rows.

    def add_bias(self, z: Activations, layer: SpgemmLayer) -> None:
        with computing_layers(self._layer, 0):
            self._kernels.add_bias(z, layer)

    def relu(self, z: Activations, layer: SpgemmLayer) -> Activations:
        with computing_layers(self._layer, 0):
            return self._kernels.relu(z, layer)

    @property
    def _layer(self) -> range:
        return range(self._layers.last, self._layers.last + 1)
