"""Networks: sequences of layers that chain, checked on construction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from kkspdnn.errors import InputError, short_repr
from kkspdnn.model.checks import as_tuple, check_size, check_type, is_positive
from kkspdnn.model.foreign_arrays import is_torch_module
from kkspdnn.model.layers import Layer, LazyLayers
from kkspdnn.model.matrices import float_dtype
from kkspdnn.notebook_html import html_table
from kkspdnn.units import plural


@dataclass(frozen=True, eq=False)
class Network:
    """
    A sequence of layers of one dtype, each with as many inputs as the layer before has outputs.

    inputs: the number of neurons of an input row
    ymax: the upper limit of all ReLUs, finite and above 0, or None for no limit
    source: "radixnet", "challenge", "npz" or "memory"

    A network may have no layers; its outputs are then its inputs. InputError if two layers do not
    chain or have different dtypes.
    """

    layers: Sequence[Layer]
    inputs: int
    ymax: float | None = 32.0
    name: str = "network"
    source: str = "memory"

    def __post_init__(self) -> None:
        if self.ymax is not None and not is_positive(self.ymax):
            raise InputError(
                f"ymax {short_repr(self.ymax)}: it must be finite and above 0, or None for no limit"
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
        object.__setattr__(self, "layers", as_tuple(self.layers, Layer, "layer"))
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
                    "convert them to one dtype with Layer.astype"
                )

    def __repr__(self) -> str:
        limit = "no ymax" if self.ymax is None else f"ymax {self.ymax:g}"
        return (
            f"<Network {self.name}: {self.inputs:,} -> {self.outputs:,} neurons, "
            f"{plural(len(self.layers), 'layer')}, {self.edges:,} edges, {self.dtype}, {limit}>"
        )

    def _repr_html_(self) -> str:
        rows = {
            "layers": f"{len(self.layers):,}",
            "neurons": f"{self.inputs:,} inputs, {self.outputs:,} outputs",
            "edges": f"{self.edges:,}",
            "dtype": str(self.dtype),
            "upper limit": "none" if self.ymax is None else f"{self.ymax:g}",
            "source": self.source,
        }
        return html_table(f"Network {self.name}", rows)

    @property
    def outputs(self) -> int:
        """The number of neurons of an output row; `inputs` if there is no layer."""
        if isinstance(self.layers, LazyLayers):
            return self.layers.outputs
        return self.layers[-1].outputs if self.layers else self.inputs

    @property
    def widest(self) -> int:
        """The number of neurons of the widest layer, including the input rows."""
        if isinstance(self.layers, LazyLayers):
            return max(self.layers.inputs, self.layers.outputs)
        return max([self.inputs, *(layer.outputs for layer in self.layers)])

    @property
    def edges(self) -> int:
        """The number of weights in all layers."""
        if isinstance(self.layers, LazyLayers):
            return self.layers.edges
        return sum(layer.edges for layer in self.layers)

    @property
    def zeros_stay_from(self) -> int:
        """The first layer, from 0, such that it and all later layers map zeros to zeros."""
        position = len(self.layers)
        if isinstance(self.layers, LazyLayers):
            return 0
        while position > 0 and self.layers[position - 1].keeps_zeros:
            position -= 1
        return position

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of all layers, float32 or float64; float32 if there is no layer."""
        if isinstance(self.layers, LazyLayers):
            return self.layers.dtype
        return self.layers[0].dtype if self.layers else np.dtype(np.float32)

    def astype(self, dtype: DTypeLike) -> Network:
        """
        This network in float32 or float64; returns `self` if it has that dtype.

        InputError naming the layer on overflow.
        """
        target = float_dtype(dtype)
        if target == self.dtype:
            return self
        if isinstance(self.layers, LazyLayers):
            return replace(self, layers=self.layers.astype(target))
        layers = []
        for number, layer in enumerate(self.layers, start=1):
            try:
                layers.append(layer.astype(target))
            except InputError as error:
                raise InputError(str(error), layer=number) from error
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
    A network of `layers`. `inputs`, the number of input neurons, is required if there is no layer.

    The other parameters and InputError are those of `Network`.
    """
    checked = layers if isinstance(layers, LazyLayers) else as_tuple(layers, Layer, "layer")
    if inputs is None:
        if not checked:
            raise InputError(
                "a network without layers needs its number of input neurons: pass inputs="
            )
        inputs = checked.inputs if isinstance(checked, LazyLayers) else checked[0].inputs
    return Network(layers=checked, inputs=inputs, ymax=ymax, name=name, source=source)


def check_network(value: object) -> None:
    """Raise InputError unless `value` is a Network."""
    if is_torch_module(value):
        raise InputError(
            f"network: {type(value).__name__}; give a kkspdnn.Network: use kk.from_torch(model)"
        )
    check_type(value, Network, "network")
