"""Networks from the chain of linear, elementwise affine and clamp steps of a model.

An affine step, such as a batch normalization in eval mode, is folded into the layer before it, or
after an activation into the layer after it. Folding is in float64, and its result is rounded once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kkspdnn.errors import InputError
from kkspdnn.model.ieee import ieee_arithmetic
from kkspdnn.model.layers import Layer
from kkspdnn.model.matrices import working_dtype
from kkspdnn.model.network import Network, network


@dataclass(frozen=True, eq=False)
class Linear:
    """y = x W + b.

    weights: W of shape (inputs, outputs)
    bias: (outputs), or None
    label: the name of the step in the model, for error messages
    """

    weights: NDArray[Any]
    bias: NDArray[Any] | None
    label: str


@dataclass(frozen=True, eq=False)
class Affine:
    """y = scale x + shift, for each neuron.

    scale, shift: float64, one number or a vector [neurons]
    """

    scale: NDArray[np.float64]
    shift: NDArray[np.float64]
    label: str


@dataclass(frozen=True)
class Clamp:
    """y = min(max(x, lower), upper); None: no limit."""

    lower: float | None
    upper: float | None
    label: str


Step = Linear | Affine | Clamp


@dataclass(frozen=True, eq=False)
class _Folded:
    """A layer, as far as the steps so far define it.

    dtype: the dtype to round folded weights to; None: they are not folded
    upper: the limit of the activation, if there is one
    clamp: the label of the step of the activation
    """

    linear: Linear
    dtype: np.dtype[Any] | None = None
    upper: float | None = None
    clamp: str | None = None

    def scaled(self, affine: Affine) -> _Folded:
        """Return the layer followed by an affine step."""
        weights, bias = _float64(self.linear)
        _check_width(affine, weights.shape[1])
        return self._with(weights * affine.scale, bias * affine.scale + affine.shift)

    def of_scaled(self, affine: Affine) -> _Folded:
        """Return the layer preceded by an affine step."""
        weights, bias = _float64(self.linear)
        _check_width(affine, weights.shape[0])
        shift = np.broadcast_to(affine.shift, weights.shape[:1])
        scale = np.broadcast_to(affine.scale, weights.shape[:1])
        return self._with(weights * scale[:, None], bias + shift @ weights)

    def _with(self, weights: NDArray[Any], bias: NDArray[Any]) -> _Folded:
        dtype = self.dtype or working_dtype(self.linear.weights.dtype, self.linear.label)
        return replace(self, linear=replace(self.linear, weights=weights, bias=bias), dtype=dtype)

    def layer(self) -> Layer:
        linear = self.linear
        made = Layer.from_sparse(
            linear.weights,
            0.0 if linear.bias is None else linear.bias,
            activation="linear" if self.clamp is None else "relu",
            bias_to="all",
            name=linear.label,
        )
        try:
            return made if self.dtype is None else made.astype(self.dtype)
        except InputError as error:
            raise InputError(f"{linear.label}: {error}") from error


@ieee_arithmetic()
def batch_norm(
    mean: NDArray[Any],
    variance: NDArray[Any],
    eps: float,
    weight: NDArray[Any] | None,
    bias: NDArray[Any] | None,
    label: str,
) -> Affine:
    """Return a batch normalization in eval mode: weight (x - mean) / sqrt(variance + eps) + bias.

    mean, variance: running statistics, vectors [neurons]
    weight, bias: vectors [neurons]; None: 1 and 0

    Raises InputError for vectors of other shapes, and for statistics that give no finite number.
    """
    for name, vector in (("variance", variance), ("weight", weight), ("bias", bias)):
        if vector is not None and (vector.shape != mean.shape or vector.ndim != 1):
            raise InputError(
                f"{label}: {name} of shape {vector.shape} for a mean of shape {mean.shape}; both "
                "must be vectors of one number for each neuron"
            )
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scale = 1.0 / np.sqrt(variance.astype(np.float64) + eps)
        if weight is not None:
            scale = scale * weight.astype(np.float64)
        shift = -mean.astype(np.float64) * scale
        if bias is not None:
            shift = shift + bias.astype(np.float64)
    bad = np.flatnonzero(~(np.isfinite(scale) & np.isfinite(shift)))
    if bad.size:
        raise InputError(
            f"{label}: neuron {bad[0]} has mean {mean[bad[0]]} and variance {variance[bad[0]]}, "
            "which give no finite scale and shift; train the batch normalization first"
        )
    return Affine(scale, shift, label)


@ieee_arithmetic()
def chain_network(steps: Sequence[Step], *, name: str, row_neurons: int | None = None) -> Network:
    """Return the network that computes these steps, one after the other.

    row_neurons: the number of neurons in the rows that the model makes of its input, if it says it

    A clamp needs the lower limit 0, or a limit below it after another clamp. An affine step between
    two activations, or after the last one, becomes a layer with one edge for each neuron.

    Raises InputError naming the step, for an activation before the first linear step, for different
    upper limits, for numbers that overflow, and as `Layer.from_sparse` and `network`; also if the
    first layer has another number of inputs than `row_neurons`.
    """
    linears = [step for step in steps if isinstance(step, Linear)]
    if not linears:
        raise InputError("the model has no Linear layer")
    # Layer refuses the infinities and NaNs of these warnings.
    with np.errstate(over="ignore", invalid="ignore"):
        folded = _fold(steps, working_dtype(linears[0].weights.dtype, linears[0].label))
    chained = network([each.layer() for each in folded], _common_limit(folded), name=name)
    if row_neurons not in (None, chained.inputs):
        raise InputError(
            f"the model makes rows of {row_neurons} neurons, but the first layer has "
            f"{chained.inputs}"
        )
    return chained


def _fold(steps: Sequence[Step], dtype: np.dtype[Any]) -> list[_Folded]:
    """Return the layers of these steps. dtype: that of layers with one edge for each neuron"""
    folded: list[_Folded] = []
    pending: Affine | None = None  # it applies to the output of the last layer
    for step in steps:
        if isinstance(step, Linear):
            layer = _Folded(step)
            folded.append(layer if pending is None else layer.of_scaled(pending))
            pending = None
        elif isinstance(step, Affine):
            if folded and folded[-1].clamp is None:
                folded[-1] = folded[-1].scaled(step)
            else:
                pending = step if pending is None else _composed(pending, step)
        else:
            if pending is not None:
                folded.append(_diagonal(pending, folded, dtype))
                pending = None
            if not folded:
                raise InputError(f"{step.label}: an activation before the first Linear layer")
            folded[-1] = _clamped(folded[-1], step)
    if pending is not None:
        folded.append(_diagonal(pending, folded, dtype))
    return folded


def _float64(linear: Linear) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weights and the bias in float64, the dtype of folding."""
    weights, bias = linear.weights, linear.bias
    wide = weights.astype(np.float64)
    return wide, np.zeros(wide.shape[1]) if bias is None else bias.astype(np.float64)


def _check_width(affine: Affine, neurons: int) -> None:
    for vector in (affine.scale, affine.shift):
        if vector.shape not in ((), (neurons,)):
            raise InputError(
                f"{affine.label}: has {vector.size} numbers for {neurons} neurons; one for each "
                "neuron is needed"
            )


def _composed(first: Affine, then: Affine) -> Affine:
    """Return two affine steps as one."""
    vectors = [vector for vector in (first.scale, first.shift) if vector.ndim]
    if vectors:
        _check_width(then, vectors[0].size)
    shift = np.asarray(then.scale * first.shift + then.shift)
    return Affine(np.asarray(then.scale * first.scale), shift, then.label)


def _diagonal(affine: Affine, before: Sequence[_Folded], dtype: np.dtype[Any]) -> _Folded:
    """Return an affine step as a layer with one edge for each neuron."""
    if before:
        neurons = before[-1].linear.weights.shape[1]
    else:
        neurons = max(affine.scale.size, affine.shift.size)
        if affine.scale.ndim == affine.shift.ndim == 0:
            raise InputError(f"{affine.label}: an activation before the first Linear layer")
    _check_width(affine, neurons)
    scale = np.broadcast_to(affine.scale, (neurons,))
    weights: Any = sp.diags_array(scale, format="csc")
    shift = np.array(np.broadcast_to(affine.shift, (neurons,)))
    return _Folded(Linear(weights, shift, affine.label), dtype=dtype)


def _clamped(folded: _Folded, clamp: Clamp) -> _Folded:
    """Return a layer followed by a clamp."""
    lower, upper = clamp.lower, clamp.upper
    is_relu = lower == 0 or (folded.clamp is not None and (lower is None or lower <= 0))
    if not is_relu:
        raise InputError(
            f"{clamp.label}: clamps to a lower limit of {lower}; only activations with the lower "
            "limit 0 are supported"
        )
    if upper is not None and not upper > 0:
        raise InputError(f"{clamp.label}: clamps to an upper limit of {upper}; it must be above 0")
    limits = [limit for limit in (upper, folded.upper) if limit is not None]
    return replace(folded, upper=min(limits) if limits else None, clamp=clamp.label)


def _common_limit(folded: Sequence[_Folded]) -> float | None:
    """Return the upper limit of all activations. Raises InputError if they differ."""
    active = [layer for layer in folded if layer.clamp is not None]
    for layer in active:
        if layer.upper != active[0].upper:
            limits = [
                "no upper limit" if limit is None else f"the upper limit {limit:g}"
                for limit in (active[0].upper, layer.upper)
            ]
            raise InputError(
                f"{layer.clamp}: an activation with {limits[1]}, but {active[0].clamp} has "
                f"{limits[0]}; use the same activation in all layers"
            )
    return active[0].upper if active else None
