"""ONNX Runtime and OpenVINO, which compile an ONNX model of the dense network.

They have the settings that users choose for the shortest time of a batch.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import kkspdnn as kk
from bench.balanced.candidate import Candidate
from bench.balanced.layers import convert_layers
from bench.balanced.onnx_model import INPUT, onnx_model
from bench.balanced.runs import Run, timed
from bench.peer import missing_package


def onnx_candidates() -> dict[str, Candidate]:
    """Return the candidates by their names."""
    return {
        "ONNX Runtime": Candidate(
            ("dense",), _onnxruntime, partial(_missing, "onnxruntime", "onnxruntime")
        ),
        "OpenVINO": Candidate(("dense",), _openvino, partial(_missing, "openvino", "openvino")),
    }


def _missing(module: str, package: str) -> str | None:
    return missing_package(module, package) or missing_package("onnx", "onnx")


def _model(network: kk.Network, x: Any) -> bytes:
    return onnx_model(convert_layers(network, True, np.ascontiguousarray), len(x))


def _onnxruntime(network: kk.Network, x: Any, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        _model(network, x), options, providers=["CPUExecutionProvider"]
    )
    return timed(lambda: session.run(None, {INPUT: x})[0])


def _openvino(network: kk.Network, x: Any, threads: int) -> Run:
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    compiled = core.compile_model(core.read_model(_model(network, x)), "CPU", settings)
    request = compiled.create_infer_request()
    return timed(lambda: request.infer([x], share_inputs=True, share_outputs=True)[0])
