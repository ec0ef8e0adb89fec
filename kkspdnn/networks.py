"""Networks: layers in order, checked to chain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from kkspdnn.errors import InputError, shown
from kkspdnn.layers import (
    ACTIVATIONS,
    BIAS_TO,
    MOST_NEURONS,
    Activation,
    BiasTo,
    Indices,
    Layer,
    LazyLayers,
    check_size,
    index_dtype,
)
from kkspdnn.matrices import float_dtype

__all__ = [
    "ACTIVATIONS",
    "BIAS_TO",
    "MOST_NEURONS",
    "Activation",
    "BiasTo",
    "Indices",
    "Layer",
    "LazyLayers",
    "Network",
    "check_network",
    "index_dtype",
    "network",
]


@dataclass(frozen=True, eq=False)
class Network:
    """
    Layers in order, the upper limit of the ReLU in those that have one, and where they came from.

    `inputs` is the number of neurons of an input row. Zero layers are legal: the answer is then the
    nonzero input rows. `ymax` is > 0 and finite, or None for a ReLU without an upper limit.
    `source` is "radixnet", "challenge", "npz" or "memory". InputError where two layers do not chain
    or have different types.
    """

    layers: Sequence[Layer]
    inputs: int
    ymax: float | None = 32.0
    name: str = "network"
    source: str = "memory"

    def __post_init__(self) -> None:
        if self.ymax is not None and not _positive(self.ymax):
            raise InputError(
                f"ymax {shown(self.ymax)}: it must be finite and above 0, or None for no limit"
            )
        if self.inputs < 1:
            raise InputError(f"{self.inputs} input neurons: at least 1 is needed")
        check_size((self.inputs,), "network")
        if isinstance(self.layers, LazyLayers):
            if self.layers.inputs != self.inputs:
                raise InputError(
                    f"layer 1 has {self.layers.inputs} inputs, the network {self.inputs}"
                )
            return
        object.__setattr__(self, "layers", _tuple_of(self.layers))
        self._check_chain()

    def _check_chain(self) -> None:
        for number, layer in enumerate(self.layers, start=1):
            if number == 1 and layer.inputs != self.inputs:
                raise InputError(f"layer 1 has {layer.inputs} inputs, the network {self.inputs}")
            before = self.layers[max(number - 2, 0)]
            if number > 1 and layer.inputs != before.outputs:
                raise InputError(
                    f"layer {number - 1} has {before.outputs} outputs "
                    f"but layer {number} has {layer.inputs} inputs; they must be equal"
                )
            if layer.dtype != before.dtype:
                raise InputError(
                    f"layer {number - 1} is {before.dtype} but layer {number} is {layer.dtype}; "
                    "bring them to one type with Layer.astype"
                )

    @property
    def outputs(self) -> int:
        """Neurons of an output row; the inputs where there is no layer."""
        if isinstance(self.layers, LazyLayers):
            return self.layers.outputs
        return self.layers[-1].outputs if self.layers else self.inputs

    @property
    def widest(self) -> int:
        """The most neurons of any layer, the input rows' too."""
        if isinstance(self.layers, LazyLayers):
            return max(self.layers.inputs, self.layers.outputs)
        return max([self.inputs, *(layer.outputs for layer in self.layers)])

    @property
    def edges(self) -> int:
        """The number of weights of all layers."""
        if isinstance(self.layers, LazyLayers):
            return self.layers.edges
        return sum(layer.edges for layer in self.layers)

    @property
    def zeros_stay_from(self) -> int:
        """The first layer, from 0, from which on a row of zeros provably stays one to the end."""
        position = len(self.layers)
        if isinstance(self.layers, LazyLayers):
            return 0
        while position > 0 and self.layers[position - 1].keeps_zeros:
            position -= 1
        return position

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64, of every layer; float32 where there is no layer."""
        if isinstance(self.layers, LazyLayers):
            return self.layers.dtype
        return self.layers[0].dtype if self.layers else np.dtype(np.float32)

    def astype(self, dtype: DTypeLike) -> Network:
        """
        This network in float32 or float64 (itself where it is already); InputError on overflow.
        """
        wanted = float_dtype(dtype)
        if wanted == self.dtype:
            return self
        if isinstance(self.layers, LazyLayers):
            return replace(self, layers=self.layers.astype(wanted))
        layers = []
        for number, layer in enumerate(self.layers, start=1):
            try:
                layers.append(layer.astype(wanted))
            except InputError as error:
                raise InputError(f"layer {number}: {error}") from error
        return replace(self, layers=layers)


def network(
    layers: Iterable[Layer],
    ymax: float | None = 32.0,
    *,
    inputs: int | None = None,
    name: str = "network",
    source: str = "memory",
) -> Network:
    """
    A network of these layers; `inputs` is needed only where there is no layer.

    InputError as for `Network`.
    """
    given = layers if isinstance(layers, LazyLayers) else _tuple_of(layers)
    if inputs is None:
        if not given:
            raise InputError(
                "a network without layers: say how many input neurons it has (inputs=)"
            )
        inputs = given.inputs if isinstance(given, LazyLayers) else given[0].inputs
    return Network(layers=given, inputs=inputs, ymax=ymax, name=name, source=source)


def _positive(number: object) -> bool:
    real = isinstance(number, int | float | np.integer | np.floating)
    return real and bool(np.isfinite(number) and number > 0)  # type: ignore[call-overload,operator]


def _tuple_of(layers: Iterable[Layer]) -> tuple[Layer, ...]:
    """The layers as a tuple; InputError for anything that is not a Layer."""
    # A matrix is iterable too, or says that it is.
    if not isinstance(layers, Iterable) or hasattr(layers, "shape"):
        raise InputError(f"layers: {type(layers).__name__}; give a list of kkspdnn.Layer")
    given = tuple(layers)
    for number, layer in enumerate(given, start=1):
        if not isinstance(layer, Layer):
            raise InputError(
                f"layer {number}: {type(layer).__name__}; give a kkspdnn.Layer, for example of "
                "Layer.from_sparse"
            )
    return given


def check_network(given: object) -> None:
    """Raise InputError unless `given` is a Network."""
    if not isinstance(given, Network):
        raise InputError(
            f"network: {type(given).__name__}; give a kkspdnn.Network, for example of "
            "kkspdnn.network"
        )
