"""Layers and networks: what inference multiplies, checked once, stored by output neuron."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args, overload

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, DTypeLike, NDArray

from kkspdnn.errors import InputError, check_choice, short_repr
from kkspdnn.model.checks import check_kind, check_size, is_positive, tuple_of
from kkspdnn.model.ieee import ieee_arithmetic
from kkspdnn.model.matrices import (
    Floats,
    array_of,
    bias_vector,
    canonical_csc,
    float_dtype,
    to_float,
    working_dtype,
)

Indices = NDArray[np.uint16] | NDArray[np.uint32]

Activation = Literal["relu", "linear"]
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
"""What a layer does to its sums: min(max(z, 0), ymax) with the network's ymax, or nothing."""

BiasTo = Literal["nonzero", "all"]
BIAS_TO: tuple[BiasTo, ...] = get_args(BiasTo)
"""Which sums get the bias: nonzero ones, the challenge's rule, or all, everybody else's."""


def index_dtype(inputs: int) -> np.dtype[Any]:
    """The type of a layer's input indices: uint16 up to 65,536 inputs, uint32 above."""
    return np.dtype(np.uint16 if inputs <= 65536 else np.uint32)


@dataclass(frozen=True, eq=False)
class Layer:
    """
    One layer: weights W of shape (inputs, outputs) and a bias, stored by output neuron (CSC of W).

    `start` int64[outputs+1] holds offsets into `index` (uint16 to 65,536 inputs, else uint32;
    0-based input neurons, ascending in each output neuron, no duplicates) and `value` (float32 or
    float64, finite, not zero); `bias` has one number of the same type for each output.
    `activation` and `bias_to`: see ACTIVATIONS and BIAS_TO; the defaults are the challenge's.
    The constructor checks types and lengths only; `from_sparse` and `from_fan_in` check the
    contents too.
    """

    inputs: int
    outputs: int
    start: NDArray[np.int64]
    index: Indices
    value: Floats
    bias: Floats
    activation: Activation = "relu"
    bias_to: BiasTo = "nonzero"

    def __post_init__(self) -> None:
        check_choice("activation", self.activation, ACTIVATIONS)
        check_choice("bias_to", self.bias_to, BIAS_TO)
        if self.inputs < 1 or self.outputs < 1:
            raise InputError(
                f"layer of {self.inputs} x {self.outputs} neurons: 1 x 1 is the smallest"
            )
        check_size((self.inputs, self.outputs), "layer")
        float_dtype(self.value.dtype)
        agree = (
            self.start.dtype == np.int64
            and self.start.shape == (self.outputs + 1,)
            and self.index.dtype == index_dtype(self.inputs)
            and self.index.ndim == 1
            and self.value.shape == self.index.shape
            and self.bias.shape == (self.outputs,)
            and self.bias.dtype == self.value.dtype
            and self.start[0] == 0
            and self.start[-1] == self.index.size
        )
        if not agree:
            raise InputError(
                f"layer of {self.inputs} x {self.outputs} neurons: start, index, value and bias do "
                "not agree in type or length; use Layer.from_sparse or Layer.from_fan_in"
            )

    @property
    def edges(self) -> int:
        """The number of stored weights."""
        return int(self.index.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64, of weights and bias."""
        return self.value.dtype

    @property
    def fan_in(self) -> int | None:
        """The number of edges of every output neuron where all have the same, else None."""
        counts = np.diff(self.start)
        first = int(counts[0])
        return first if bool((counts == first).all()) else None

    @property
    def keeps_zeros(self) -> bool:
        """Whether a row of zeros is one after this layer too: its sums are exactly 0."""
        if self.bias_to == "nonzero":
            return True
        return not bool((self.bias > 0 if self.activation == "relu" else self.bias).any())

    def weights(self) -> sp.csr_array:
        """W as a canonical CSR array of shape (inputs, outputs)."""
        # every sparse routine is faster with 32-bit indices, and they nearly always reach
        small = max(self.edges, self.inputs, self.outputs) <= np.iinfo(np.int32).max
        kind = np.int32 if small else np.int64
        parts: Any = (self.value, self.index.astype(kind), self.start.astype(kind))
        return sp.csc_array(parts, shape=(self.inputs, self.outputs)).tocsr()

    def astype(self, dtype: DTypeLike) -> Layer:
        """
        This layer in float32 or float64 (itself where it is already).

        InputError where a finite number overflows; a weight that underflows to 0 is no edge any
        more.
        """
        wanted = float_dtype(dtype)
        if wanted == self.dtype:
            return self
        value = to_float(self.value, wanted, "weight")
        bias = to_float(self.bias, wanted, "bias")
        return _without_zeros(replace(self, value=value, bias=bias))

    @classmethod
    def from_sparse(
        cls,
        weights: Any,
        bias: ArrayLike,
        *,
        activation: Activation = "relu",
        bias_to: BiasTo = "nonzero",
        name: str = "layer 1",
    ) -> Layer:
        """
        A layer from W (inputs, outputs): a SciPy sparse matrix or a 2-D ndarray of real finite
        numbers.

        `bias` is one number or a vector of `outputs`; it takes the type of the weights. Stored
        zeros are dropped. InputError (beginning with `name`) for a cell that is stored twice and
        all else.
        """
        check_size(getattr(weights, "shape", ()), f"{name}: weights")
        csc = canonical_csc(weights, f"{name}: weights")
        inputs, outputs = csc.shape
        if inputs < 1:
            raise InputError(f"{name}: weights: shape {csc.shape}; at least one row is needed")
        return cls(
            inputs=inputs,
            outputs=outputs,
            start=csc.indptr.astype(np.int64),
            index=csc.indices.astype(index_dtype(inputs)),
            value=csc.data,
            bias=bias_vector(bias, outputs, csc.dtype, name),
            activation=activation,
            bias_to=bias_to,
        )

    @classmethod
    def from_fan_in(
        cls,
        index: ArrayLike,
        value: ArrayLike,
        bias: ArrayLike,
        inputs: int,
        *,
        activation: Activation = "relu",
        bias_to: BiasTo = "nonzero",
        name: str = "layer 1",
    ) -> Layer:
        """
        A layer in which every output neuron has the same number of edges.

        `index` [outputs, fan_in] holds 0-based input neurons in any order, `value` one weight or
        [outputs, fan_in] of them, `bias` one number or a vector of `outputs`. Weights of 0 are
        dropped.
        """
        index2d, values = array_of(index, f"{name}: index"), array_of(value, f"{name}: value")
        if index2d.ndim != 2 or index2d.shape[0] < 1 or index2d.dtype.kind not in "iu":
            raise InputError(
                f"{name}: index of shape {index2d.shape}, {index2d.dtype}; "
                "it must be integers of shape (outputs, fan_in)"
            )
        if values.shape not in ((), index2d.shape):
            raise InputError(
                f"{name}: value of shape {values.shape}; give one number or shape {index2d.shape}"
            )
        outputs, fan_in = index2d.shape
        bad = np.argwhere((index2d < 0) | (index2d >= inputs))
        if bad.size:
            row, column = bad[0]
            raise InputError(
                f"{name}: output {row} has input {index2d[row, column]}, outside 0..{inputs - 1}"
            )
        # the sparse constructor checks the rest: finite, real, no duplicates, ascending
        column_of = np.repeat(np.arange(outputs), fan_in)
        values = values.astype(working_dtype(values.dtype, f"{name}: weights"))
        weights = np.broadcast_to(values, index2d.shape).ravel()
        coo = sp.coo_array((weights, (index2d.ravel(), column_of)), shape=(inputs, outputs))
        return cls.from_sparse(coo, bias, activation=activation, bias_to=bias_to, name=name)


@ieee_arithmetic()
def _without_zeros(layer: Layer) -> Layer:
    kept = layer.value != 0
    if bool(kept.all()):
        return layer
    before = np.concatenate(([0], np.cumsum(kept, dtype=np.int64)))
    return replace(
        layer, start=before[layer.start], index=layer.index[kept], value=layer.value[kept]
    )


class LazyLayers(Sequence[Layer], ABC):
    """
    Layers that are made when they are asked for, so that a big network never has to be held whole.

    A subclass sets the attributes and promises that its layers chain, have that type, are nowhere
    wider than at the ends, and keep rows of zeros.
    """

    inputs: int
    outputs: int
    edges: int
    dtype: np.dtype[Any]

    @abstractmethod
    def make(self, position: int) -> Layer:
        """Layer `position`, from 0; called with a valid position only."""

    @abstractmethod
    def astype(self, dtype: DTypeLike) -> LazyLayers:
        """The same layers in float32 or float64."""

    @overload
    def __getitem__(self, position: int) -> Layer: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[Layer]: ...
    def __getitem__(self, position: int | slice) -> Layer | Sequence[Layer]:
        if isinstance(position, slice):
            return tuple(self.make(each) for each in range(*position.indices(len(self))))
        try:
            return self.make(range(len(self))[position])
        except IndexError:
            raise IndexError(f"layer {position} of {len(self)}") from None


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
        object.__setattr__(self, "layers", tuple_of(self.layers, Layer, "layer"))
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
    given = layers if isinstance(layers, LazyLayers) else tuple_of(layers, Layer, "layer")
    if inputs is None:
        if not given:
            raise InputError(
                "a network without layers: say how many input neurons it has (inputs=)"
            )
        inputs = given.inputs if isinstance(given, LazyLayers) else given[0].inputs
    return Network(layers=given, inputs=inputs, ymax=ymax, name=name, source=source)


def check_network(given: object) -> None:
    """Raise InputError unless `given` is a Network."""
    check_kind(given, Network, "network")
