"""Networks from ONNX models compute the outputs of ONNX Runtime, and other models are refused."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kkspdnn as kk
from kkspdnn.cli import main
from kkspdnn.device import memory
from kkspdnn.device.memory import Budget
from kkspdnn.errors import InputError
from kkspdnn.io.onnx_models import read_onnx
from tests.io.damaged_files import check_read_or_refused, damaged

onnx = pytest.importorskip("onnx", reason="no onnx: pip install onnx")
helper, numpy_helper, TensorProto = onnx.helper, onnx.numpy_helper, onnx.TensorProto

RNG = np.random.default_rng(3)
W1 = RNG.standard_normal((8, 6)).astype(np.float32)
W2 = RNG.standard_normal((6, 4)).astype(np.float32)
B1 = RNG.standard_normal(6).astype(np.float32)
B2 = RNG.standard_normal(4).astype(np.float32)
NORM = {
    "scale": RNG.standard_normal(6).astype(np.float32),
    "shift": RNG.standard_normal(6).astype(np.float32),
    "mean": RNG.standard_normal(6).astype(np.float32),
    "variance": RNG.uniform(0.1, 3, 6).astype(np.float32),
}

Node = tuple[str, str, str, dict[str, Any]]
"""An operator, its inputs, its outputs, and its attributes."""


def model_of(
    nodes: list[Node],
    constants: dict[str, Any],
    *,
    shape: tuple[Any, ...] = ("rows", 8),
    output: str = "y",
    dtype: int = TensorProto.FLOAT,
    opset: int = 17,
) -> Any:
    """A model whose input is x, and whose last node has the output y."""
    graph = helper.make_graph(
        [
            helper.make_node(
                kind,
                [each for each in inputs.split(",") if inputs],
                outputs.split(","),
                name=f"n{number}",
                **given,
            )
            for number, (kind, inputs, outputs, given) in enumerate(nodes)
        ],
        "perceptron",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info(output, dtype, ("rows", "neurons"))],
        [
            numpy_helper.from_array(np.asarray(value), name)
            if not isinstance(value, onnx.TensorProto)
            else value
            for name, value in constants.items()
        ],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


RELU: Node = ("Relu", "a", "b", {})
GEMM2: Node = ("Gemm", "b,W2,B2", "y", {})
ALL = {"W1": W1, "B1": B1, "W2": W2, "B2": B2, **NORM, "zero": np.float32(0), "six": np.float32(2)}
BATCH_NORM = "scale,shift,mean,variance"

MODELS: dict[str, tuple[list[Node], dict[str, Any]]] = {
    "gemm": ([("Gemm", "x,W1,B1", "a", {}), RELU, GEMM2], {}),
    "transposed": (
        [("Gemm", "x,T1,B1", "a", {"transB": 1}), RELU, GEMM2],
        {"T1": np.ascontiguousarray(W1.T)},
    ),
    "alpha and beta": ([("Gemm", "x,W1,B1", "y", {"alpha": 0.5, "beta": 2.0})], {}),
    "alpha without bias": ([("Gemm", "x,W1", "y", {"alpha": 0.5})], {}),
    "bias of shape (1, n)": ([("Gemm", "x,W1,R1", "y", {})], {"R1": B1[None]}),
    "bias of one number": ([("Gemm", "x,W1,zero", "y", {})], {}),
    "matmul": (
        [("MatMul", "x,W1", "c", {}), ("Add", "c,B1", "a", {}), RELU, ("MatMul", "b,W2", "y", {})],
        {},
    ),
    "bias first": ([("MatMul", "x,W1", "c", {}), ("Add", "B1,c", "y", {})], {}),
    "clip": ([("Gemm", "x,W1,B1", "a", {}), ("Clip", "a,zero,six", "b", {}), GEMM2], {}),
    "clip without limit": ([("Gemm", "x,W1,B1", "a", {}), ("Clip", "a,zero", "b", {}), GEMM2], {}),
    "norm": (
        [
            ("Gemm", "x,W1,B1", "c", {}),
            ("BatchNormalization", f"c,{BATCH_NORM}", "a", {"epsilon": 0.25}),
            RELU,
            GEMM2,
        ],
        {},
    ),
    "norm after relu": (
        [
            ("Gemm", "x,W1,B1", "c", {}),
            ("Relu", "c", "a", {}),
            ("BatchNormalization", f"a,{BATCH_NORM}", "b", {}),
            GEMM2,
        ],
        {},
    ),
    "no computation": (
        [
            ("Identity", "x", "c", {}),
            ("Cast", "c", "d", {"to": TensorProto.FLOAT}),
            ("Dropout", "d", "e", {}),
            ("Gemm", "e,W1,B1", "y", {}),
        ],
        {},
    ),
    "flatten": ([("Flatten", "x", "c", {"axis": 1}), ("Gemm", "c,W1,B1", "y", {})], {}),
    "reshape": (
        [("Reshape", "x,shape", "c", {}), ("Gemm", "c,W1,B1", "y", {})],
        {"shape": np.array([-1, 8], np.int64)},
    ),
    "shape of the rows": (
        [
            ("Shape", "x", "s", {}),
            ("Constant", "", "i", {"value_int": 0}),
            ("Gather", "s,i", "r", {"axis": 0}),
            ("Unsqueeze", "r,axes", "u", {}),
            ("Concat", "u,rest", "shape", {"axis": 0}),
            ("Reshape", "x,shape", "c", {}),
            ("Gemm", "c,W1,B1", "y", {}),
        ],
        {"axes": np.array([0], np.int64), "rest": np.array([-1], np.int64)},
    ),
    "constants": (
        [
            ("Constant", "", "w", {"value": numpy_helper.from_array(W1.astype(np.float16).T)}),
            ("Cast", "w", "v", {"to": TensorProto.FLOAT}),
            ("Transpose", "v", "t", {"perm": [1, 0]}),
            ("Identity", "t", "u", {}),
            ("Constant", "", "b", {"value_floats": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}),
            ("Gemm", "x,u,b", "y", {}),
        ],
        {},
    ),
}


def constants_of(nodes: list[Node], more: dict[str, Any]) -> dict[str, Any]:
    """The constants that nodes use."""
    used = {name for node in nodes for name in node[1].split(",")}
    return {name: value for name, value in {**ALL, **more}.items() if name in used}


def runtime_outputs(model: Any, rows: Any) -> Any:
    ort = pytest.importorskip("onnxruntime", reason="no onnxruntime: pip install onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": rows})[0]


def check_outputs(net: kk.Network, expected: Any, rows: Any) -> None:
    outputs = kk.reference(net, rows.reshape(len(rows), -1), dtype=net.dtype).toarray()
    assert outputs.shape == expected.shape
    assert np.abs(outputs - expected).max() <= 1e-5 * max(1, np.abs(expected).max())


@pytest.mark.parametrize("name", MODELS)
def test_the_outputs_are_those_of_onnx_runtime(name: str) -> None:
    nodes, more = MODELS[name]
    flat = name not in ("flatten", "reshape", "shape of the rows")
    shape = ("rows", 8) if flat else ("rows", 2, 4)
    nodes = [(kind, inputs, outputs, dict(given)) for kind, inputs, outputs, given in nodes]
    model = model_of(nodes, constants_of(nodes, more), shape=shape)
    onnx.checker.check_model(model)
    rows = RNG.standard_normal((5, *shape[1:])).astype(np.float32)
    net = kk.from_onnx(model)
    assert net.name == "perceptron"
    assert net.dtype == np.float32
    check_outputs(net, runtime_outputs(model, rows), rows)
    assert np.abs(kk.Predictor(net)(rows.reshape(5, 8)) - runtime_outputs(model, rows)).max() < 1e-4


def test_weights_keep_their_bits_and_dtype() -> None:
    nodes, _ = MODELS["gemm"]
    for dtype, kept in (("f4", "f4"), ("f8", "f8"), ("f2", "f4")):
        constants = {name: ALL[name].astype(dtype) for name in ("W1", "B1", "W2", "B2")}
        net = kk.from_onnx(model_of(nodes, constants))
        assert net.dtype == kept
        assert (net.layers[1].weights().toarray() == constants["W2"]).all()
        assert (net.layers[1].bias == constants["B2"]).all()


def test_bfloat16_becomes_float32() -> None:
    values = np.round(W1.ravel() * 4) / 4
    tensor = helper.make_tensor("W1", TensorProto.BFLOAT16, W1.shape, values)
    net = kk.from_onnx(model_of([("MatMul", "x,W1", "y", {})], {"W1": tensor}))
    assert net.dtype == np.float32
    assert (net.layers[0].weights().toarray().ravel() == values).all()


def test_limits_as_attributes_of_old_opsets() -> None:
    clip: Node = ("Clip", "a", "b", {"min": 0.0, "max": 3.5})
    nodes: list[Node] = [("Gemm", "x,W1,B1", "a", {}), clip, GEMM2]
    model = model_of(nodes, constants_of(nodes, {}), opset=10)
    assert kk.from_onnx(model).ymax == 3.5
    largest = float(np.finfo(np.float32).max)
    nodes[1] = ("Clip", "a", "b", {"min": 0.0, "max": largest})
    assert kk.from_onnx(model_of(nodes, constants_of(nodes, {}), opset=10)).ymax is None


@pytest.mark.slow
@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the exporter without onnxscript
def test_a_model_that_pytorch_exported(tmp_path: Path, dynamic: bool) -> None:
    torch = pytest.importorskip("torch", reason="no torch: pip install torch")
    nn = torch.nn

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.fc2, self.fc3 = nn.Linear(8, 6), nn.Linear(6, 6), nn.Linear(6, 4)
            self.norm1, self.norm2 = nn.BatchNorm1d(6), nn.BatchNorm1d(6)

        def forward(self, x: Any) -> Any:
            x = self.norm1(self.fc1(x.view(x.size(0), -1))).clamp(0, 4)
            return self.fc3(self.norm2(nn.functional.relu(self.fc2(x)).clamp(max=4)))

    torch.manual_seed(0)
    model = Model()
    model(torch.randn(20, 2, 4))
    model.eval()
    x = torch.randn(5, 2, 4)
    path = tmp_path / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        axes = {"x": {0: "rows"}} if dynamic else None
        torch.onnx.export(model, (x,), path, dynamo=False, input_names=["x"], dynamic_axes=axes)
    net = kk.from_onnx(path)
    assert net.name == "model"
    assert net.ymax == 4
    check_outputs(net, model(x).detach().numpy(), x.numpy())
    check_outputs(net, runtime_outputs(onnx.load(path), x.numpy()), x.numpy())


def perceptron() -> Any:
    return model_of(MODELS["gemm"][0], constants_of(*MODELS["gemm"]))


def test_weights_in_another_file(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    external = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0}
    onnx.save(perceptron(), path, **external)
    net = kk.from_onnx(path)
    assert (net.layers[0].weights().toarray() == W1).all()
    unloaded = onnx.load(path, load_external_data=False)
    with pytest.raises(InputError, match=r"W1: its values are in another file; .* onnx.load"):
        kk.from_onnx(unloaded)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(InputError, match=r"model.onnx: its external data cannot be read") as caught:
        kk.from_onnx(str(path))
    assert "\n" not in str(caught.value)


def test_read_dense_network_and_prune_read_onnx(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(perceptron(), path)
    assert kk.read_dense_network(path).edges == 72
    words = ["prune", str(path), "--out", str(tmp_path / "pruned")]
    assert main.main([*words, "--method", "unstructured", "--sparsity", "0.5"]) == 0
    assert "layer 1: 8 x 6, 24 weights" in capsys.readouterr().out
    pruned = kk.read_npz_network(tmp_path / "pruned")
    assert [layer.activation for layer in pruned.layers] == ["relu", "linear"]
    path.write_bytes(b"PK\x03\x04")
    assert main.main(words) == 2
    error = capsys.readouterr().err
    assert error == f"kkspdnn: {path}: not an ONNX model: it is a zip archive\n"


JOINS = "joins two branches, as in a residual connection; only a chain of nodes is supported"
CHAIN = "its input is not the result of the node before; only a chain of nodes is supported"
GEMM: Node = ("Gemm", "x,W1,B1", "a", {})
REFUSED: list[tuple[list[Node], dict[str, Any], str]] = [
    ([GEMM, ("Tanh", "a", "y", {})], {}, r"node n1 \(Tanh\): is not supported; supported"),
    ([GEMM, ("Softmax", "a", "y", {})], {}, r"node n1 \(Softmax\): is not supported; leave it out"),
    (
        [GEMM, ("LogSoftmax", "a", "b", {}), ("ArgMax", "b", "y", {})],
        {},
        r"node n1 \(LogSoftmax\): is not supported; leave it out of the model, and apply it",
    ),
    (
        [GEMM, ("Sigmoid", "a", "b", {}), ("Gemm", "b,W2", "y", {})],
        {},
        r"node n1 \(Sigmoid\): is not supported; supported",
    ),
    ([GEMM, ("Add", "a,a", "y", {})], {}, rf"node n1 \(Add\): {CHAIN}"),
    ([GEMM, RELU, ("Add", "a,b", "y", {})], {}, rf"node n2 \(Add\): {JOINS}"),
    ([GEMM, ("Relu", "x", "y", {})], {}, rf"node n1 \(Relu\): {CHAIN}"),
    ([("MatMul", "W1,x", "y", {})], {}, rf"node n0 \(MatMul\): {CHAIN}"),
    ([GEMM, ("Relu", "a", "b", {})], {}, "output y is not the result of the last node"),
    ([("Gemm", "x,W1,B1", "y", {"transA": 1})], {}, r"n0 \(Gemm\): transA=1 is not supported"),
    ([("Gemm", "x,W1", "y", {"alpha": "a"})], {}, "n0 .*: its attribute alpha is not a number"),
    ([("Shape", "x", "s", {"end": 1}), GEMM], {}, "n0 .*: attributes of Shape are not supported"),
    ([("Gemm", "x,V1", "y", {})], {"V1": W1[None]}, "n0 .*: B has 3 dimensions; weights have 2"),
    ([("Gemm", "x", "y", {})], {}, "n0 .*: its input B is missing"),
    (
        [("Gemm", "x,W1,C", "y", {})],
        {"C": np.ones((3, 1), "f4")},
        r"n0 .*: C has the shape \(3, 1\)",
    ),
    ([("MatMul", "x,W1", "a", {}), ("Add", "a,B2", "y", {})], {}, "n1 .*: has 4 numbers for 6"),
    ([("Relu", "x", "a", {}), ("MatMul", "a,W1", "y", {})], {}, "n0 .*: an activation before"),
    ([GEMM, ("Clip", "a,one,six", "y", {})], {"one": np.float32(1)}, "n1 .* a lower limit of 1.0"),
    ([GEMM, ("Clip", "a", "y", {})], {}, "n1 .* a lower limit of None"),
    ([GEMM, ("Clip", "a,W2", "y", {})], {}, r"n1 \(Clip\): min has 24 numbers; one is needed"),
    (
        [GEMM, ("BatchNormalization", f"a,{BATCH_NORM}", "y,p,q", {"training_mode": 1})],
        {},
        "n1 .*: in training mode; export the model in eval mode",
    ),
    (
        [GEMM, ("BatchNormalization", f"a,{BATCH_NORM}", "y", {"epsilon": -9.0})],
        {},
        "n1 .*: neuron 0 has mean .*, which give no finite scale and shift",
    ),
    (
        [("Dropout", "x,half,yes", "a", {}), ("MatMul", "a,W1", "y", {})],
        {"half": np.float32(0.5), "yes": np.array(True)},
        "n0 .*: in training mode",
    ),
    ([("Cast", "x", "y", {"to": TensorProto.INT64})], {}, "n0 .*: only casts to float32 and float"),
    ([("Flatten", "x", "y", {"axis": 0})], {}, "n0 .*: only Flatten with axis=1 keeps the rows"),
    ([GEMM, ("Flatten", "a", "y", {})], {}, "n1 .*: is supported before the first layer only"),
    (
        [("Reshape", "x,s", "a", {}), ("MatMul", "a,W1", "y", {})],
        {"s": np.array([-1, 4])},
        "the model makes rows of 4 neurons, but the first layer has 8",
    ),
    ([("Reshape", "x,s", "y", {})], {"s": np.array([2, -1, 2])}, r"n0 .*: to the shape \[2, -1, 2"),
    ([("Identity", "x", "y", {})], {}, "the model has no Linear layer"),
    ([("RandomNormal", "", "y", {"shape": [2]})], {}, "n0 .*: is not supported for constants"),
    ([("Constant", "", "y", {"value_string": "a"})], {}, "n0 .*: value_string is not supported"),
    ([("Transpose", "W1", "y", {"perm": [0, 2]})], {}, "n0 .*: axis 2 is out of bounds"),
    ([("Cast", "W1", "y", {"to": TensorProto.INT8})], {}, "n0 .*: only casts from floating-point"),
    (
        [
            ("Shape", "x", "s", {}),
            ("Cast", "s", "f", {"to": TensorProto.FLOAT}),
            ("MatMul", "x,W1", "y", {}),
        ],
        {},
        "n1 .*: only casts from floating-point to float32 or float64, and from integers",
    ),
    (
        [("MatMul", "x,W1", "a", {}), ("Shape", "x", "s", {}), ("Add", "a,s", "y", {})],
        {},
        r"n1 \(Shape\): ",
    ),
    (
        [("Shape", "x", "s", {}), ("MatMul", "x,W1", "a", {}), ("Add", "a,s", "y", {})],
        {},
        r"n2 \(Add\): B has int64 values; they must be floating-point",
    ),
]


@pytest.mark.parametrize(("nodes", "more", "message"), REFUSED, ids=[each[2] for each in REFUSED])
def test_other_models_are_refused(nodes: list[Node], more: dict[str, Any], message: str) -> None:
    model = model_of(nodes, constants_of(nodes, more))
    with pytest.raises(InputError, match=message) as caught:
        kk.from_onnx(model)
    assert "\n" not in str(caught.value)


def two_inputs(model: Any) -> None:
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1]))


def two_outputs(model: Any) -> None:
    model.graph.output.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, None))


def truncated(model: Any) -> None:
    model.graph.initializer[0].raw_data = b"1234"


def float8(model: Any) -> None:
    model.graph.initializer[0].data_type = TensorProto.FLOAT8E4M3FN


def not_finite(model: Any) -> None:
    changed = np.array(W1)
    changed[2, 3] = np.nan
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(changed, "W1"))


def own_operator(model: Any) -> None:
    model.graph.node[1].domain = "org.example"


def old(model: Any) -> None:
    model.opset_import[0].version = 6


def without_nodes(model: Any) -> None:
    del model.graph.node[:]


def sparse(model: Any) -> None:
    model.graph.sparse_initializer.add().values.name = "W3"


def open_shape(model: Any) -> None:
    model.graph.node.insert(0, helper.make_node("Shape", ["x"], ["s"], name="shape"))
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "n"


CHANGES: list[tuple[Callable[[Any], None], str]] = [
    (two_inputs, "the graph has 2 inputs and 1 outputs; one of each is supported"),
    (two_outputs, "the graph has 1 inputs and 2 outputs; one of each is supported"),
    (truncated, "W1: its values cannot be read: "),
    (float8, "W1: FLOAT8E4M3FN values; convert them to float32 or float64"),
    (not_finite, r"node n0 \(Gemm\): weights: row 2, column 3 is nan"),
    (own_operator, r"node n1 \(Relu\): is not supported"),
    (old, "opset 6 is too old; convert the model to opset 7 or later"),
    (without_nodes, "not an ONNX model: it has no nodes"),
    (sparse, "W3: a sparse initializer; store it as a dense one"),
    (open_shape, r"node shape \(Shape\): the shape of x is not known"),
]


@pytest.mark.parametrize(("change", "message"), CHANGES, ids=[each[1] for each in CHANGES])
def test_changed_models_are_refused(change: Callable[[Any], None], message: str) -> None:
    model = perceptron()
    change(model)
    with pytest.raises(InputError, match=f"^{message}") as caught:
        kk.from_onnx(model)
    assert "\n" not in str(caught.value)


def test_other_objects_and_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="model of type int is not supported; give a path or an"):
        kk.from_onnx(3)
    with pytest.raises(InputError, match=r"missing.onnx: no such file"):
        kk.from_onnx(tmp_path / "missing.onnx")
    for content, message in (
        (b"", "not an ONNX model: it is empty"),
        (b"<!DOCTYPE html>", "not an ONNX model: it is an HTML or XML page"),
        (b"garbage", "not an ONNX model: "),
        (b"\x08\x07", "not an ONNX model: it has no nodes"),
    ):
        (tmp_path / "model.onnx").write_bytes(content)
        with pytest.raises(InputError, match=f"^{re.escape(str(tmp_path))}/model.onnx: {message}"):
            kk.from_onnx(tmp_path / "model.onnx")


def test_a_model_larger_than_the_budget_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(perceptron(), path)
    monkeypatch.setattr(memory, "free_memory", lambda: 1000)
    with pytest.raises(InputError, match=r"model.onnx: its weights need 0.01 MB of memory"):
        read_onnx(path, Budget())


@pytest.mark.slow
@settings(
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(tmp_path: Path, data: Any) -> None:
    content = model_of(MODELS["norm"][0], constants_of(*MODELS["norm"])).SerializeToString()
    path = tmp_path / "damaged.onnx"
    path.write_bytes(damaged(content, data))
    check_read_or_refused(kk.from_onnx, path)
