"""The constants of an ONNX graph as NumPy arrays: initializers, and nodes that depend on no row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.errors import InputError, first_line

_DTYPES = ("FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16", "INT64", "INT32", "BOOL")
BATCH = 0
"""The number of rows in a shape, as in the operator Reshape."""


def attributes(node: Any) -> dict[str, Any]:
    """Return the values of a node's attributes by name."""
    from onnx import helper

    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def node_label(node: Any) -> str:
    """Return the name of a node, or of its output, and its operator, for error messages."""
    name = node.name or (node.output[0] if node.output else "without name")
    return f"node {name} ({node.op_type})"


class Constants:
    """The constants of a graph by name. Initializers are converted on access.

    Raises InputError naming the constant for types other than float16, bfloat16, float32, float64,
    int32, int64 and bool, for damaged data, and for data in a file that was not loaded.
    """

    def __init__(self, graph: Any) -> None:
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        self._arrays: dict[str, NDArray[Any]] = {}
        sparse = {each.values.name for each in graph.sparse_initializer}
        if sparse:
            raise InputError(f"{sorted(sparse)[0]}: a sparse initializer; store it as a dense one")

    def __contains__(self, name: object) -> bool:
        return name in self._arrays or name in self._tensors

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._arrays:
            self._arrays[name] = tensor_array(self._tensors[name], name)
        return self._arrays[name]

    def add_shape(self, node: Any, value: Any) -> None:
        """Add the output of a Shape node of the graph's input. value: its ValueInfoProto"""
        dimensions = [each.dim_value for each in value.type.tensor_type.shape.dim[1:]]
        if not dimensions or 0 in dimensions:
            raise InputError(
                f"{node_label(node)}: the shape of {value.name} is not known; export the model "
                "with a fixed shape but for the number of rows"
            )
        if node.attribute:
            raise InputError(f"{node_label(node)}: attributes of Shape are not supported")
        self._arrays[node.output[0]] = np.array([BATCH, *dimensions], np.int64)

    def add(self, node: Any) -> bool:
        """Add the output of a node whose inputs are all constant. Return whether it is constant."""
        if not all(name in self for name in node.input if name):
            return False
        label = node_label(node)
        standard = node.domain in ("", "ai.onnx")
        if node.op_type not in _OPERATORS or not standard or len(node.output) != 1:
            raise InputError(f"{label}: is not supported for constants; simplify the model")
        try:
            inputs = [self[name] for name in node.input if name]
            self._arrays[node.output[0]] = _OPERATORS[node.op_type](inputs, attributes(node), label)
        except InputError:
            raise
        except Exception as error:
            # NumPy raises many exceptions for arguments that do not fit.
            reason = first_line(error)
            raise InputError(f"{label}: {reason:.200}") from error
        return True


def tensor_array(tensor: Any, label: str) -> NDArray[Any]:
    """Convert a tensor of a model. float16 and bfloat16 become float32, which is exact."""
    from onnx import TensorProto, external_data_helper, numpy_helper

    types = TensorProto.DataType
    name = types.Name(tensor.data_type) if tensor.data_type in types.values() else "unknown"
    if name not in _DTYPES:
        raise InputError(f"{label}: {name} values; convert them to float32 or float64 first")
    if external_data_helper.uses_external_data(tensor):
        raise InputError(f"{label}: its values are in another file; load the model with onnx.load")
    try:
        array: NDArray[Any] = numpy_helper.to_array(tensor)
    except Exception as error:
        reason = first_line(error)
        raise InputError(f"{label}: its values cannot be read: {reason:.200}") from error
    return array.astype(np.float32) if name in ("FLOAT16", "BFLOAT16") else array


_Inputs = list[NDArray[Any]]
_Given = Mapping[str, Any]


def _constant(inputs: _Inputs, given: _Given, label: str) -> NDArray[Any]:
    ((kind, value),) = given.items()
    if kind == "value":
        return tensor_array(value, label)
    dtypes = {"value_float": "f4", "value_floats": "f4", "value_int": "i8", "value_ints": "i8"}
    if kind not in dtypes:
        raise InputError(f"{label}: {kind} is not supported; store a dense tensor of numbers")
    return np.array(value, dtypes[kind])


def _cast(inputs: _Inputs, given: _Given, label: str) -> NDArray[Any]:
    from onnx import TensorProto

    dtypes = {TensorProto.FLOAT: "f4", TensorProto.DOUBLE: "f8", TensorProto.INT64: "i8"}
    dtype = np.dtype(dtypes.get(given["to"], "V"))
    if (dtype.kind, inputs[0].dtype.kind) not in (("f", "f"), ("i", "i")):
        raise InputError(
            f"{label}: only casts from floating-point to float32 or float64, and from integers to "
            "int64 are supported"
        )
    return inputs[0].astype(dtype)


def _transpose(inputs: _Inputs, given: _Given, label: str) -> NDArray[Any]:
    return inputs[0].transpose(given.get("perm"))


def _gather(inputs: _Inputs, given: _Given, label: str) -> NDArray[Any]:
    return np.asarray(np.take(inputs[0], inputs[1], axis=given.get("axis", 0)))


def _unsqueeze(inputs: _Inputs, given: _Given, label: str) -> NDArray[Any]:
    # The axes are an attribute up to opset 12, and an input from opset 13 on.
    axes = given["axes"] if "axes" in given else inputs[1].tolist()
    return np.expand_dims(inputs[0], tuple(axes))


def _concat(inputs: _Inputs, given: _Given, label: str) -> NDArray[Any]:
    return np.concatenate(inputs, axis=given["axis"])


_OPERATORS: Mapping[str, Callable[[_Inputs, _Given, str], NDArray[Any]]] = {
    "Constant": _constant,
    "Identity": lambda inputs, given, label: inputs[0],
    "Cast": _cast,
    "Transpose": _transpose,
    "Gather": _gather,
    "Unsqueeze": _unsqueeze,
    "Concat": _concat,
}
"""The operators on constants that exporters write for a chain of layers."""
