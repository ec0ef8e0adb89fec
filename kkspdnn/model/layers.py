"""Layers: sparse weights and biases stored by output neuron, in memory or made on access."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args, overload

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, DTypeLike, NDArray

from kkspdnn.errors import InputError, check_choice
from kkspdnn.model.checks import check_size, check_whole
from kkspdnn.model.ieee import ieee_arithmetic
from kkspdnn.model.matrices import (
    Floats,
    as_array,
    bias_vector,
    canonical_csc,
    float_dtype,
    to_float,
    working_dtype,
)
from kkspdnn.notebook_html import html_table

Indices = NDArray[np.uint16] | NDArray[np.uint32]

Activation = Literal["relu", "linear"]
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
"""The activation functions: relu is min(max(z, 0), ymax) with the network's ymax, linear is z."""

BiasTo = Literal["nonzero", "all"]
BIAS_TO: tuple[BiasTo, ...] = get_args(BiasTo)
"""The sums to which the bias is added: nonzero sums (the rule of the challenge) or all sums."""


def index_dtype(inputs: int) -> np.dtype[Any]:
    """The dtype of a layer's input indices: uint16 up to 65,536 inputs, uint32 above."""
    return np.dtype(np.uint16 if inputs <= 65536 else np.uint32)


def edges_by_input(
    start: NDArray[np.int64], index: Indices, value: Floats, inputs: int
) -> sp.csr_array:
    """Return W as a canonical CSR array of shape (inputs, outputs).

    start, index, value: the edges by output neuron, as in `Layer`
    """
    outputs = start.size - 1
    # SciPy's routines are faster with 32-bit indices.
    fits = max(index.size, inputs, outputs) <= np.iinfo(np.int32).max
    dtype = np.int32 if fits else np.int64
    arrays: Any = (value, index.astype(dtype), start.astype(dtype))
    return sp.csc_array(arrays, shape=(inputs, outputs)).tocsr()


@dataclass(frozen=True, eq=False)
class Layer:
    """
    One layer: weights W of shape (inputs, outputs) and a bias, stored by output neuron (CSC of W).

    start: int64[outputs + 1], the offsets of each output neuron's edges in `index` and `value`
    index: uint16[edges] up to 65,536 inputs, else uint32[edges]; input neurons from 0, ascending
    within each output neuron, no duplicates
    value: float32[edges] or float64[edges], finite and not zero
    bias: [outputs], of the dtype of `value`
    activation, bias_to: see ACTIVATIONS and BIAS_TO; the defaults are those of the challenge

    The constructor checks dtypes and lengths only. `from_sparse` and `from_fan_in` also check the
    values. Both raise InputError.
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
                f"layer of {self.inputs} x {self.outputs} neurons: at least 1 x 1 is needed"
            )
        check_size((self.inputs, self.outputs), "layer")
        float_dtype(self.value.dtype)
        consistent = (
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
        if not consistent:
            raise InputError(
                f"layer of {self.inputs} x {self.outputs} neurons: start, index, value and bias do "
                "not agree in type or length; use Layer.from_sparse or Layer.from_fan_in"
            )

    def __repr__(self) -> str:
        return (
            f"<Layer {self.inputs:,} -> {self.outputs:,} neurons: {self.edges:,} edges "
            f"({self._density}), {self.dtype}, {self.activation}, bias to {self.bias_to} sums>"
        )

    def _repr_html_(self) -> str:
        fan_in = self.fan_in
        rows = {
            "neurons": f"{self.inputs:,} inputs, {self.outputs:,} outputs",
            "edges": f"{self.edges:,} ({self._density})",
            "fan-in": "varies" if fan_in is None else f"{fan_in:,}",
            "dtype": str(self.dtype),
            "activation": self.activation,
            "bias": f"{_span(self.bias)}, added to {self.bias_to} sums",
        }
        return html_table("Layer", rows)

    @property
    def _density(self) -> str:
        """The fraction of the weights that are stored, as text."""
        return f"density {self.edges / (self.inputs * self.outputs):.2g}"

    @property
    def edges(self) -> int:
        """The number of stored weights."""
        return int(self.index.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of weights and bias, float32 or float64."""
        return self.value.dtype

    @property
    def fan_in(self) -> int | None:
        """The number of edges of each output neuron if all are equal, else None."""
        counts = np.diff(self.start)
        first = int(counts[0])
        return first if bool((counts == first).all()) else None

    @property
    def keeps_zeros(self) -> bool:
        """Whether this layer maps a row of zeros to a row of zeros."""
        if self.bias_to == "nonzero":
            return True
        return not bool((self.bias > 0 if self.activation == "relu" else self.bias).any())

    def weights(self) -> sp.csr_array:
        """W as a canonical CSR array of shape (inputs, outputs)."""
        return edges_by_input(self.start, self.index, self.value, self.inputs)

    def astype(self, dtype: DTypeLike) -> Layer:
        """
        This layer in float32 or float64; returns `self` if it has that dtype.

        InputError if a number overflows. An edge is dropped if its weight underflows to 0.
        """
        target = float_dtype(dtype)
        if target == self.dtype:
            return self
        value = to_float(self.value, target, "weight")
        bias = to_float(self.bias, target, "bias")
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
        A layer from a weight matrix.

        weights: W of shape (inputs, outputs), a SciPy sparse matrix or an ndarray of real finite
        numbers; zeros are dropped
        bias: one number or a vector [outputs], cast to the dtype of the weights
        name: the beginning of the message of each InputError

        InputError for weights or a bias that are invalid, and for a matrix element that is stored
        twice.
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
        A layer in which each output neuron has the same number of edges.

        index: [outputs, fan_in], input neurons from 0 in any order
        value: one weight, or weights [outputs, fan_in]; edges of weight 0 are dropped
        bias: one number or a vector [outputs]
        inputs: the number of input neurons
        name: the beginning of the message of each InputError

        InputError for an index outside the inputs, for a duplicate, and as in `from_sparse`.
        """
        check_whole("inputs", inputs)
        index2d, values = as_array(index, f"{name}: index"), as_array(value, f"{name}: value")
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
        # from_sparse sorts the edges and checks for duplicates and values that are not finite.
        column_of = np.repeat(np.arange(outputs), fan_in)
        values = values.astype(working_dtype(values.dtype, f"{name}: weights"))
        weights = np.broadcast_to(values, index2d.shape).ravel()
        coo = sp.coo_array((weights, (index2d.ravel(), column_of)), shape=(inputs, outputs))
        return cls.from_sparse(coo, bias, activation=activation, bias_to=bias_to, name=name)


def _span(values: Floats) -> str:
    """The smallest and the largest of some values, as text."""
    low, high = float(values.min()), float(values.max())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


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
    Layers that are made on each access, so that a large network need not fit into memory.

    A subclass sets the attributes below. Its layers must chain, have `dtype`, be no wider than
    `inputs` or `outputs`, and map rows of zeros to rows of zeros.
    """

    inputs: int
    outputs: int
    edges: int
    dtype: np.dtype[Any]

    @abstractmethod
    def make(self, position: int) -> Layer:
        """Make the layer at `position`, from 0. Positions are checked by the caller."""

    @abstractmethod
    def astype(self, dtype: DTypeLike) -> LazyLayers:
        """The same layers in float32 or float64."""

    @overload
    def __getitem__(self, position: int) -> Layer: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[Layer]: ...
    def __getitem__(self, position: int | slice) -> Layer | Sequence[Layer]:
        if isinstance(position, slice):
            return tuple(self.make(index) for index in range(*position.indices(len(self))))
        try:
            return self.make(range(len(self))[position])
        except IndexError:
            raise IndexError(f"layer {position} of {len(self)}") from None
