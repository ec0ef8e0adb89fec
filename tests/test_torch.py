"""`kk.compile` and `kk.torch.SparseSequential`: a module of PyTorch that computes sparsely."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import kkspdnn as kk
from kkspdnn.errors import InputError

torch = pytest.importorskip("torch", reason="no torch: pip install torch")
nn = torch.nn


def dense(*before: Any) -> Any:
    """A model of 8, 6 and 4 neurons, half of whose weights are 0."""
    torch.manual_seed(0)
    model = nn.Sequential(*before, nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4))
    for module in model:
        if isinstance(module, nn.Linear):
            with torch.no_grad():
                module.weight[torch.rand_like(module.weight) < 0.5] = 0
    return model


@pytest.fixture(scope="module")
def sparse() -> Any:
    return kk.compile(dense())


@pytest.mark.parametrize(
    "shape", [(8,), (5, 8), (1, 8), (0, 8), (2, 3, 8), (2, 0, 8), (1, 2, 1, 8)]
)
def test_inputs_of_any_number_of_axes(sparse: Any, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape)
    with torch.no_grad():
        expected = dense()(x)
    outputs = sparse(x)
    assert type(outputs) is torch.Tensor
    assert outputs.shape == expected.shape
    assert outputs.dtype == torch.float32
    assert not outputs.requires_grad
    torch.testing.assert_close(outputs, expected)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.T.contiguous().T,
        lambda x: x.repeat_interleave(2, 1)[:, ::2],
        lambda x: x[::2],
        lambda x: x[:1].expand(5, 8),
        lambda x: x.requires_grad_()[1:],
    ],
)
def test_inputs_of_any_strides(sparse: Any, change: Callable[[Any], Any]) -> None:
    with torch.no_grad():
        x = change(torch.randn(6, 8))
        torch.testing.assert_close(sparse(x), dense()(x))


def test_a_model_that_begins_with_flatten() -> None:
    model = dense(nn.Flatten())
    sparse = kk.compile(model)
    for shape in ((5, 2, 4), (5, 1, 2, 4), (5, 8)):
        x = torch.randn(shape)
        with torch.inference_mode():
            torch.testing.assert_close(sparse(x), model(x))
    for shape in ((8,), (5, 3, 8), (2, 4)):
        with pytest.raises(InputError, match=r"takes \(rows, ...\) with 8 elements a row"):
            sparse(torch.randn(shape))


class Split(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = dense()

    def forward(self, x: Any) -> Any:
        return self.layers(x.view(-1, 8))


def test_a_model_that_splits_its_input_into_rows() -> None:
    model = Split()
    sparse = kk.compile(model)
    x = torch.randn(3, 4, 4)
    with torch.inference_mode():
        torch.testing.assert_close(sparse(x), model(x))
    with pytest.raises(InputError, match=r"shape \(3, 4\); the model takes a multiple of 8 elem"):
        sparse(torch.randn(3, 4))


def test_a_model_with_a_batch_normalization_takes_a_matrix() -> None:
    sparse = kk.compile(dense(nn.BatchNorm1d(8)))
    assert sparse(torch.randn(5, 8)).shape == (5, 4)
    for shape in ((8,), (2, 5, 8), (2, 8, 8)):
        with pytest.raises(InputError, match=r"the model takes \(rows, 8\)"):
            sparse(torch.randn(shape))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_inputs_and_outputs_have_the_dtype_of_the_model(dtype: str) -> None:
    kind = getattr(torch, dtype)
    model = dense().to(kind)
    sparse = kk.compile(model)
    x = torch.randn(5, 8, dtype=kind)
    with torch.no_grad():
        torch.testing.assert_close(sparse(x), model(x))


def test_conversions_change_the_dtype() -> None:
    sparse = kk.compile(dense())
    x = torch.randn(5, 8, dtype=torch.float64)
    with torch.no_grad():
        expected = dense().double()(x)
    for change, dtype in (
        (sparse.double, torch.float64),
        (sparse.half, torch.float16),
        (sparse.bfloat16, torch.bfloat16),
        (sparse.float, torch.float32),
        (lambda: sparse.to(torch.float64), torch.float64),
        (lambda: sparse.to("cpu", torch.float32), torch.float32),
    ):
        assert change() is sparse
        outputs = sparse(x.to(dtype))
        assert outputs.dtype == dtype
        torch.testing.assert_close(outputs.double(), expected, rtol=0.05, atol=0.05)
    parent = nn.Sequential(sparse, nn.Linear(4, 2)).double()
    assert parent(x).dtype == torch.float64
    with pytest.raises(InputError, match="the module cannot be torch.float8"):
        sparse._apply(lambda tensor: tensor.to(torch.float8_e4m3fn))


def test_moves_to_another_device_are_refused(sparse: Any) -> None:
    assert sparse.to("cpu") is sparse
    assert sparse.cpu() is sparse
    with pytest.raises(InputError, match="cannot move to meta; compile the model with space='cuda"):
        sparse.to("meta")


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: np.zeros((5, 8), np.float32), "x is a ndarray; give a torch.Tensor"),
    (
        lambda: torch.zeros(5, 8, dtype=torch.float64),
        "x is torch.float64, the module torch.float32",
    ),
    (
        lambda: torch.zeros(5, 8, dtype=torch.int64),
        r"x is torch.int64, the module torch.float32; convert x with x.to\(torch.float32\)",
    ),
    (lambda: torch.zeros(5, 8, device="meta"), "x is on meta, the module on the CPU; use x.cpu()"),
    (lambda: torch.zeros(5, 8).to_sparse(), "x is a torch.sparse_coo tensor; use x.to_dense()"),
    (lambda: torch.zeros(5, 7), r"x has the shape \(5, 7\); the model takes \(..., 8\)"),
    (lambda: torch.zeros(()), r"x has the shape \(\); the model takes \(..., 8\)"),
    (lambda: torch.full((5, 8), float("nan")), "row 0, column 0 is nan"),
    (lambda: torch.zeros(5, 8, requires_grad=True), r"x requires gradients, .*; use x.detach\(\)"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED, ids=[each[1] for each in REFUSED])
def test_other_inputs_are_refused(sparse: Any, make: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        sparse(make())
    assert "\n" not in str(caught.value)


def test_inputs_that_require_gradients_where_none_are_computed(sparse: Any) -> None:
    x = torch.randn(5, 8, requires_grad=True)
    with torch.no_grad():
        outputs = sparse(x)
    assert not outputs.requires_grad
    with torch.inference_mode():
        torch.testing.assert_close(sparse(x), outputs)


def test_the_mode() -> None:
    model = dense(nn.Dropout(0.9))
    sparse = kk.compile(model)
    assert model.training
    assert not sparse.training
    parent = nn.Sequential(sparse).train()
    with pytest.raises(InputError, match=r"for inference only; call eval\(\) before forward"):
        parent(torch.zeros(5, 8))
    assert parent.eval()(torch.zeros(5, 8)).shape == (5, 4)


def test_models_and_options_that_are_refused(sparse: Any) -> None:
    with pytest.raises(InputError, match="pass a Network to kk.Predictor instead"):
        kk.compile(kk.from_torch(dense()))
    with pytest.raises(InputError, match="is a SparseSequential already; pass the dense model"):
        kk.compile(sparse)
    with pytest.raises(InputError, match=r"Sequential.0 \(Tanh\) is not supported"):
        kk.compile(dense(nn.Tanh()))
    with pytest.raises(kk.SpaceError, match="space 'tpu' is unknown"):
        kk.compile(dense(), space="tpu")
    unknown = r"compile\(\) got an unexpected keyword argument 'spcae' \(did you mean space\?\)"
    with pytest.raises(TypeError, match=unknown):
        kk.compile(dense(), spcae="openmp")


@pytest.mark.parametrize("use", [kk.Predictor, kk.prune, lambda each: kk.infer(each, [])])
def test_a_function_of_networks_names_the_conversion_of_a_model(use: Callable[[Any], Any]) -> None:
    with pytest.raises(InputError, match=r"network: Sequential; .*: use kk.from_torch\(model\)"):
        use(dense())


def test_a_dtype_of_torch_as_an_option() -> None:
    with pytest.raises(InputError, match='dtype torch.float64: .* of NumPy, such as "float32"'):
        kk.Predictor(kk.from_torch(dense()), dtype=torch.float64)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.jit
def test_the_module_cannot_be_traced(sparse: Any) -> None:
    parent = nn.Sequential(sparse, nn.Softmax(1))
    with pytest.raises(InputError, match="cannot be traced; trace the dense model"):
        torch.jit.trace(parent, torch.zeros(5, 8))
    with pytest.raises(InputError, match="cannot be traced; trace the dense model"):
        torch.fx.symbolic_trace(sparse)


@pytest.mark.slow
@pytest.mark.skipif(
    not hasattr(torch.compiler, "is_exporting"), reason="PyTorch before 2.7 has no is_exporting"
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the import of torch._dynamo
def test_the_module_cannot_be_exported(sparse: Any) -> None:
    with pytest.raises(InputError, match="cannot be exported; export the dense model"):
        torch.export.export(sparse, (torch.zeros(5, 8),), strict=False)


def test_sizes_and_text(sparse: Any) -> None:
    assert (sparse.in_features, sparse.out_features) == (8, 4)
    edges = kk.from_torch(dense()).edges
    assert edges < 72
    assert repr(sparse) == (
        f"SparseSequential(in_features=8, out_features=4, layers=2, edges={edges}, "
        f"density={edges / 72:.3g}, space='openmp')"
    )
    assert list(sparse.parameters()) == []


def saved(module: Any) -> Any:
    buffer = io.BytesIO()
    torch.save(module, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each)), saved]
)
def test_copies(duplicate: Callable[[Any], Any]) -> None:
    sparse = kk.compile(dense(), exits="none").double()
    other = duplicate(sparse)
    assert type(other) is kk.torch.SparseSequential
    assert repr(other) == repr(sparse)
    x = torch.randn(5, 8, dtype=torch.float64)
    assert torch.equal(other(x), sparse(x))


def test_the_state_is_loaded_into_a_module_of_another_model() -> None:
    sparse = kk.compile(dense())
    buffer = io.BytesIO()
    torch.save(sparse.state_dict(), buffer)
    buffer.seek(0)
    other = kk.compile(nn.Linear(8, 4))
    x = torch.randn(5, 8)
    assert not torch.equal(other(x), sparse(x))
    keys = other.load_state_dict(torch.load(buffer, weights_only=True))
    assert not keys.missing_keys
    assert not keys.unexpected_keys
    assert torch.equal(other(x), sparse(x))
    wide = kk.compile(nn.Linear(8, 4)).double()
    wide.load_state_dict(sparse.state_dict())
    assert wide(x.double()).dtype == torch.float64
    torch.testing.assert_close(wide(x.double()).float(), sparse(x))


def test_the_upper_limit_is_a_part_of_the_state() -> None:
    model = nn.Sequential(nn.Linear(8, 4), nn.ReLU6())
    other = kk.compile(nn.Linear(8, 4))
    other.load_state_dict(kk.compile(model).state_dict())
    x = 100 * torch.randn(5, 8)
    with torch.no_grad():
        assert other(x).max() == 6
        torch.testing.assert_close(other(x), model(x))


def test_the_state_is_a_copy(sparse: Any) -> None:
    x = torch.randn(5, 8)
    before = sparse(x)
    for layer in sparse.state_dict()["_extra_state"]["layers"]:
        layer["value"].zero_()
    assert torch.equal(copy.deepcopy(sparse)(x), before)


def layer_state(sparse: Any, **changes: Any) -> Any:
    state = sparse.get_extra_state()
    state["layers"][0].update(changes)
    return state


STATES: list[tuple[Callable[[Any], Any], str]] = [
    (lambda sparse: None, "the state is not one of a SparseSequential"),
    (lambda sparse: {"format": 2}, "the state is not one of a SparseSequential"),
    (lambda sparse: {"format": 1}, "the state is incomplete: KeyError"),
    (lambda sparse: sparse.get_extra_state() | {"layers": [3]}, "the state is incomplete: TypeErr"),
    (lambda sparse: sparse.get_extra_state() | {"ymax": -1.0}, "ymax -1.0: it must be"),
    (lambda sparse: kk.compile(nn.Linear(8, 3)).get_extra_state(), "has 8 inputs and 3 outputs"),
    (
        lambda sparse: layer_state(
            sparse, index=torch.full_like(sparse.get_extra_state()["layers"][0]["index"], 99)
        ),
        "layer 1 of the state: .*not a valid sparse matrix",
    ),
    (lambda sparse: layer_state(sparse, start=torch.zeros(3)), "layer 1 of the state: "),
    (lambda sparse: layer_state(sparse, bias=torch.zeros(3)), "layer 1 of the state: the bias"),
    (lambda sparse: layer_state(sparse, value=[1.0]), "layer 1 of the state: value: list"),
    (lambda sparse: layer_state(sparse, activation="tanh"), "activation 'tanh' is unknown"),
]


@pytest.mark.parametrize(("make", "message"), STATES, ids=[each[1] for each in STATES])
def test_other_states_are_refused(sparse: Any, make: Callable[[Any], Any], message: str) -> None:
    x = torch.randn(5, 8)
    before = sparse(x)
    with pytest.raises(InputError, match=message) as caught:
        sparse.set_extra_state(make(sparse))
    assert "\n" not in str(caught.value)
    assert torch.equal(sparse(x), before)


def test_the_state_of_a_dense_model_is_refused(sparse: Any) -> None:
    with pytest.raises(RuntimeError, match="Unexpected key"):
        sparse.load_state_dict(dense().state_dict())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the import of torch._dynamo
def test_within_a_compiled_model(sparse: Any) -> None:
    model = nn.Sequential(nn.Linear(8, 8), sparse, nn.Sigmoid()).eval()
    compiled = torch.compile(model, backend="eager")
    for rows in (5, 5, 6, 100):
        x = torch.randn(rows, 8)
        with torch.inference_mode():
            torch.testing.assert_close(compiled(x), model(x))


@pytest.mark.parametrize("space", ["openmp", "serial"])
def test_other_spaces(space: str) -> None:
    x = torch.randn(5, 8)
    with torch.no_grad():
        torch.testing.assert_close(kk.compile(dense(), space=space)(x), dense()(x))
