"""ONNX models of dense networks, and the runtimes that compile them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import kkspdnn as kk
from bench.balanced.dense_network import Layers, float64_outputs
from bench.balanced.onnx_candidates import onnx_candidates
from bench.balanced.onnx_model import INPUT, onnx_model


def layers() -> Layers:
    random = np.random.default_rng(0)
    return [
        (
            random.normal(size=shape).astype(np.float32),
            random.normal(size=shape[1]).astype(np.float32),
            activation,
        )
        for shape, activation in (((5, 4), "relu"), ((4, 3), "linear"))
    ]


def test_a_model_has_gemm_and_relu_nodes_and_a_fixed_batch_size() -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    model = onnx.load_from_string(onnx_model(layers(), 7))
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Gemm", "Relu", "Gemm"]
    assert model.ir_version == 8
    assert [each.version for each in model.opset_import] == [13]
    shapes = [
        [size.dim_value for size in each.type.tensor_type.shape.dim]
        for each in (*model.graph.input, *model.graph.output)
    ]
    assert shapes == [[7, 5], [7, 3]]
    weights = onnx.numpy_helper.to_array(model.graph.initializer[0])
    assert np.array_equal(weights, layers()[0][0].T)


def test_the_reference_implementation_of_onnx_computes_the_same() -> None:
    pytest.importorskip("onnx", reason="onnx is not installed")
    from onnx.reference import ReferenceEvaluator

    x = np.random.default_rng(1).random((7, 5), np.float32)
    (outputs,) = ReferenceEvaluator(onnx_model(layers(), 7)).run(None, {INPUT: x})
    assert outputs == pytest.approx(float64_outputs(layers(), x), abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ONNX Runtime", "OpenVINO"])
def test_a_runtime_computes_the_same(name: str) -> None:
    candidate = onnx_candidates()[name]
    reason = candidate.missing()
    if reason is not None:
        pytest.skip(reason)
    network = kk.network(
        [
            kk.Layer.from_sparse(sp.csr_array(weights), bias, bias_to="all", activation=activation)
            for weights, bias, activation in layers()
        ],
        ymax=None,
    )
    x = np.random.default_rng(1).random((7, 5), np.float32)
    assert candidate.prepare is not None
    run = candidate.prepare(network, x, 1)
    for _ in range(2):
        seconds, outputs = run()
        assert seconds > 0
        assert outputs == pytest.approx(float64_outputs(layers(), x), abs=1e-5)


@pytest.mark.parametrize("absent", ["onnx", "onnxruntime"])
def test_without_a_package_the_reason_names_it(
    absent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.peer.find_spec", lambda name: None if name == absent else name)
    assert onnx_candidates()["ONNX Runtime"].missing() == f"{absent} is not installed"
