"""Networks from ONNX models that are a chain of Gemm, MatMul, Add, BatchNormalization and Relu."""

from __future__ import annotations

import math
from os import PathLike
from pathlib import Path
from typing import Any

from kkspdnn.device.memory import Budget
from kkspdnn.errors import InputError, first_line
from kkspdnn.io.layer_chain import Step, chain_network
from kkspdnn.io.numpy_files import describe_content
from kkspdnn.io.onnx_constants import Constants, node_label
from kkspdnn.io.onnx_operators import Operation, row_neurons, steps_of
from kkspdnn.io.output_functions import are_output_functions
from kkspdnn.model.ieee import ieee_arithmetic
from kkspdnn.model.network import Network

_MIN_OPSET = 7
"""Before, Gemm, BatchNormalization and Dropout had other attributes."""


def from_onnx(model: Any, *, name: str | None = None) -> Network:
    """Convert an ONNX model into a network with the same outputs, up to rounding.

    model: the path of a file, whose external data may lie beside it, or an onnx.ModelProto. Its
    graph must be a chain with one input and one output: Gemm, MatMul and Add with constant weights,
    Relu, Clip from 0, BatchNormalization, Dropout, Identity, Cast to float32 or float64, and
    Flatten or Reshape to (rows, neurons) at the beginning
    name: the name of the network; None: that of the file or the graph

    A BatchNormalization is folded into the Gemm before it, or after an activation into the Gemm
    after it, in float64. Weights of 0 are dropped. Weights of float16 and bfloat16 become float32.
    The dtype is float64 if that of the weights is, else float32.

    Raises InputError naming the first node that is not supported or not one of a chain; for an
    activation before the first Gemm, for different upper limits of activations, for layers of
    different dtypes, for a file that is not an ONNX model, and if onnx is not installed.
    """
    if isinstance(model, str | PathLike):
        return read_onnx(Path(model), Budget(), name=name)
    onnx = _import_onnx()
    if not isinstance(model, onnx.ModelProto):
        raise InputError(
            f"model of type {type(model).__name__} is not supported; give a path or an "
            "onnx.ModelProto"
        )
    return _convert(model, name or model.graph.name or "onnx")


def read_onnx(path: Path, budget: Budget, *, name: str | None = None) -> Network:
    """As `from_onnx`, for a file. Messages begin with its path.

    budget: raises InputError for a model that needs more memory
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        return _convert(_load(path, budget), name or path.stem)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _import_onnx() -> Any:
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise InputError("ONNX models need onnx: pip install onnx") from error
    return onnx


def _load(path: Path, budget: Budget) -> Any:
    """Return the model in a file, with its external data."""
    onnx = _import_onnx()
    with path.open("rb") as file:
        content = describe_content(file.read(64))
    if content is not None:
        raise InputError(f"not an ONNX model: it is {content}")
    # The content of the file, its message, and arrays in float64.
    budget.require(6 * path.stat().st_size, "its weights")
    try:
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except Exception as error:
        # protobuf raises many exceptions for a damaged file.
        raise InputError(f"not an ONNX model: {first_line(error):.200}") from error
    outside = [
        tensor
        for tensor in model.graph.initializer
        if onnx.external_data_helper.uses_external_data(tensor)
    ]
    budget.require(sum(32 * math.prod(tensor.dims) for tensor in outside), "its weights")
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except Exception as error:
        raise InputError(f"its external data cannot be read: {first_line(error):.200}") from error
    return model


@ieee_arithmetic()
def _convert(model: Any, name: str) -> Network:
    """Return the network of a model."""
    opsets = [each.version for each in model.opset_import if each.domain in ("", "ai.onnx")]
    if not model.graph.node or not opsets:
        raise InputError("not an ONNX model: it has no nodes")
    if max(opsets) < _MIN_OPSET:
        raise InputError(
            f"opset {max(opsets)} is too old; convert the model to opset {_MIN_OPSET} or later "
            "with onnx.version_converter"
        )
    steps, neurons = _chain(model.graph)
    return chain_network(steps, name=name, row_neurons=neurons)


def _chain(graph: Any) -> tuple[list[Step], int | None]:
    """Return the steps of a graph, and the number of neurons of a row if a Reshape has it."""
    constants = Constants(graph)
    inputs = [each for each in graph.input if each.name not in constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise InputError(
            f"the graph has {len(inputs)} inputs and {len(graph.output)} outputs; one of each is "
            "supported"
        )
    rows = inputs[0].name
    steps: list[Step] = []
    neurons: int | None = None
    nodes = list(graph.node)
    for number, node in enumerate(nodes):
        if node.op_type == "Shape" and rows == inputs[0].name and list(node.input) == [rows]:
            constants.add_shape(node, inputs[0])
            continue
        if constants.add(node):
            continue
        rows = _output(node, rows, constants)
        operation = Operation.of(node, constants)
        # In a damaged file, the type may be bytes.
        if are_output_functions(str(each.op_type) for each in nodes[number:]):
            raise operation.refuse(
                "is not supported; leave it out of the model, and apply it to the outputs"
            )
        if node.op_type not in ("Flatten", "Reshape"):
            steps += steps_of(operation)
        elif steps:
            raise InputError(f"{operation.label}: is supported before the first layer only")
        else:
            neurons = row_neurons(operation) or neurons
    if graph.output[0].name != rows:
        raise InputError(
            f"output {graph.output[0].name} is not the result of the last node; only a chain of "
            "nodes is supported"
        )
    return steps, neurons


def _output(node: Any, rows: str, constants: Constants) -> str:
    """Return the name of a node's output. Raises InputError unless `rows` is its varying input."""
    varying = [name for name in node.input if name and name not in constants]
    # Add has no order; other operators take the rows first.
    first = varying if node.op_type == "Add" else list(node.input[:1])
    if len(set(varying)) > 1 and rows in varying:
        raise InputError(
            f"{node_label(node)}: joins two branches, as in a residual connection; only a chain of "
            "nodes is supported"
        )
    if varying != [rows] or first != [rows] or not node.output:
        raise InputError(
            f"{node_label(node)}: its input is not the result of the node before; only a chain of "
            "nodes is supported"
        )
    return str(node.output[0])
