"""ONNX models of dense networks. Imports NumPy and onnx only."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.balanced.dense_network import Layers

INPUT = "x"
_OPSET, _IR_VERSION = 13, 8
"""Versions that DeepSparse 1.8 reads as well as current runtimes."""


def onnx_model(layers: Layers, rows: int) -> bytes:
    """Return a serialized model of Gemm and Relu nodes for a fixed number of input rows.

    layers: with dense weights float32[inputs, outputs]; pruned weights are zeros
    """
    from onnx import TensorProto, helper, numpy_helper

    def value(name: str, columns: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [rows, columns])

    nodes, constants, name = [], [], INPUT
    for number, (weights, bias, activation) in enumerate(layers):
        # The matrices are stored as PyTorch exports them: (outputs, inputs).
        constants.append(numpy_helper.from_array(np.ascontiguousarray(weights.T), f"w{number}"))
        constants.append(numpy_helper.from_array(bias, f"b{number}"))
        inputs = [name, f"w{number}", f"b{number}"]
        name = f"sums{number}"
        nodes.append(helper.make_node("Gemm", inputs, [name], transB=1))
        if activation == "relu":
            nodes.append(helper.make_node("Relu", [name], [f"y{number}"]))
            name = f"y{number}"
    graph = helper.make_graph(
        nodes,
        "network",
        [value(INPUT, layers[0][0].shape[0])],
        [value(name, layers[-1][0].shape[1])],
        constants,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION
    )
    serialized: bytes = model.SerializeToString()
    return serialized
