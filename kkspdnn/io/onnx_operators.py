"""The operators of ONNX as the steps of a layer chain."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.errors import InputError
from kkspdnn.io.layer_chain import Affine, Clamp, Linear, Step, batch_norm
from kkspdnn.io.onnx_constants import BATCH, Constants, attributes, node_label
from kkspdnn.units import plural

_FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class Operation:
    """A node of a graph whose first input holds the rows.

    given: the values of its attributes
    """

    node: Any
    constants: Constants
    given: Mapping[str, Any]
    label: str

    @classmethod
    def of(cls, node: Any, constants: Constants) -> Operation:
        """Return the operation of a node. constants: those of its graph"""
        return cls(node, constants, attributes(node), node_label(node))

    def constant(self, position: int, name: str) -> NDArray[Any]:
        """Return an input that must be there. name: in the definition of the operator"""
        inputs = self.node.input
        if position >= len(inputs) or not inputs[position]:
            raise self.refuse(f"its input {name} is missing; export the model again")
        return self.constants[inputs[position]]

    def numbers(self, position: int, name: str) -> NDArray[Any]:
        """As `constant`, for real numbers: integers may be sizes that depend on the rows."""
        found = self.constant(position, name)
        if found.dtype.kind != "f":
            raise self.refuse(f"{name} has {found.dtype} values; they must be floating-point")
        return found

    def has(self, position: int) -> bool:
        """Return whether there is such an input."""
        return position < len(self.node.input) and bool(self.node.input[position])

    def attribute(self, name: str, default: float) -> float:
        """Return an attribute that is a number."""
        value = self.given.get(name, default)
        if not isinstance(value, int | float):
            raise self.refuse(f"its attribute {name} is not a number; export the model again")
        return value

    def refuse(self, what: str) -> InputError:
        """Return the error for an attribute or input that is not supported."""
        return InputError(f"{self.label}: {what}")


def steps_of(operation: Operation) -> list[Step]:
    """Return the steps that an operation computes.

    Raises InputError for operators and attributes that are not supported.
    """
    if operation.node.op_type not in _OPERATORS or operation.node.domain not in ("", "ai.onnx"):
        raise operation.refuse(
            f"is not supported; supported are {', '.join(_OPERATORS)}, and Flatten or Reshape at "
            "the beginning"
        )
    return _OPERATORS[operation.node.op_type](operation)


def row_neurons(operation: Operation) -> int | None:
    """Return the number of neurons in the rows that a Flatten or Reshape makes; None: all elements.

    Raises InputError unless the first axis of its output has the rows, and the second the neurons.
    """
    if operation.node.op_type == "Flatten":
        if operation.attribute("axis", 1) != 1:
            raise operation.refuse("only Flatten with axis=1 keeps the rows")
        return None
    shape = [int(each) for each in operation.constant(1, "shape").ravel()]
    if operation.attribute("allowzero", 0) == 0 and len(shape) == 2:
        rows, neurons = shape
        if neurons > 0 or (neurons == -1 and (rows == BATCH or rows > 0)):
            return neurons if neurons > 0 else None
    raise operation.refuse(f"to the shape {shape}; only (rows, neurons) is supported")


def _gemm(operation: Operation) -> list[Step]:
    if operation.attribute("transA", 0):
        raise operation.refuse("transA=1 is not supported")
    weights = _weights(operation)
    if operation.attribute("transB", 0):
        weights = weights.T
    scale, shift = np.array(float(operation.attribute("alpha", 1.0))), np.array(0.0)
    if operation.has(2):
        shift = np.asarray(operation.attribute("beta", 1.0) * _vector(operation, 2, "C"))
    return [Linear(weights, None, operation.label), Affine(scale, shift, operation.label)]


def _matmul(operation: Operation) -> list[Step]:
    return [Linear(_weights(operation), None, operation.label)]


def _weights(operation: Operation) -> NDArray[Any]:
    weights = operation.numbers(1, "B")
    if weights.ndim != 2:
        raise operation.refuse(f"B has {plural(weights.ndim, 'dimension')}; weights have 2")
    return weights


def _vector(operation: Operation, position: int, name: str) -> NDArray[np.float64]:
    """Return an input of one number, or of one for each neuron, in float64."""
    array = operation.numbers(position, name)
    wide = array.astype(np.float64)
    if wide.size == 1:
        return wide.reshape(())
    if wide.ndim > 2 or wide.size != wide.shape[-1]:
        raise operation.refuse(
            f"{name} has the shape {array.shape}; one number or one for each neuron is needed"
        )
    return wide.reshape(-1)


def _add(operation: Operation) -> list[Step]:
    position = 0 if operation.node.input[0] in operation.constants else 1
    shift = _vector(operation, position, "AB"[position])
    return [Affine(np.array(1.0), shift, operation.label)]


def _clip(operation: Operation) -> list[Step]:
    # The limits are attributes up to opset 10, and inputs from opset 11 on.
    limits: list[float | None] = []
    for position, name, none in ((1, "min", -math.inf), (2, "max", math.inf)):
        value = operation.attribute(name, none)
        if operation.has(position):
            limit = operation.numbers(position, name)
            if limit.size != 1:
                raise operation.refuse(f"{name} has {limit.size} numbers; one is needed")
            value = float(limit.reshape(()))
        limits.append(None if abs(value) >= _FLOAT32_MAX else value)
    return [Clamp(limits[0], limits[1], operation.label)]


def _batch_normalization(operation: Operation) -> list[Step]:
    if operation.attribute("training_mode", 0):
        raise operation.refuse("in training mode; export the model in eval mode")
    weight, bias, mean, variance = (
        operation.numbers(position, name)
        for position, name in enumerate(("scale", "B", "input_mean", "input_var"), start=1)
    )
    eps = operation.attribute("epsilon", 1e-5)
    return [batch_norm(mean, variance, eps, weight, bias, operation.label)]


def _dropout(operation: Operation) -> list[Step]:
    if operation.has(2) and operation.constant(2, "training_mode").any():
        raise operation.refuse("in training mode; export the model in eval mode")
    return []


def _cast(operation: Operation) -> list[Step]:
    from onnx import TensorProto

    if operation.given.get("to") not in (TensorProto.FLOAT, TensorProto.DOUBLE):
        raise operation.refuse("only casts to float32 and float64 are supported")
    return []


_OPERATORS: Mapping[str, Callable[[Operation], list[Step]]] = {
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Add": _add,
    "Relu": lambda operation: [Clamp(0.0, None, operation.label)],
    "Clip": _clip,
    "BatchNormalization": _batch_normalization,
    "Dropout": _dropout,
    "Identity": lambda operation: [],
    "Cast": _cast,
}
