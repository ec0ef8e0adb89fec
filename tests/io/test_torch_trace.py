"""Models whose forward is Python code are converted if it is a chain of calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import kkspdnn as kk
from kkspdnn.errors import InputError
from kkspdnn.io.pytorch import convert_model

torch = pytest.importorskip("torch", reason="no torch: pip install torch")
nn = torch.nn
F = torch.nn.functional


class Perceptron(nn.Module):
    """A perceptron of 8, 6 and 4 neurons. run: its forward, a function of the module and x"""

    def __init__(self, run: Callable[..., Any]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc1, self.fc2 = nn.Linear(8, 6), nn.Linear(6, 4)
        self.norm, self.act, self.drop = nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout()
        self.block = nn.Sequential(nn.Linear(6, 6), nn.ReLU())
        self.scale = nn.Parameter(torch.ones(6))
        self.run = run

    def forward(self, x: Any) -> Any:
        return self.run(self, x)


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = Perceptron(lambda m, x: m.drop(m.norm(F.relu(m.fc1(x.flatten(1))))))
        self.last = Perceptron(lambda m, x: F.relu(m.fc2(x)))

    def forward(self, x: Any, unused: Any = None) -> Any:
        return self.last(self.first(x))


CHAINS: dict[str, tuple[Callable[..., Any], str]] = {
    "modules": (lambda m, x: m.fc2(m.act(m.fc1(x))), "any"),
    "functions": (lambda m, x: m.fc2(torch.relu(m.fc1(x))), "any"),
    "methods": (lambda m, x: m.fc2(m.fc1(x).relu()), "any"),
    "in place": (lambda m, x: m.fc2(F.relu(m.fc1(x), inplace=True)).relu_(), "any"),
    "relu6": (lambda m, x: m.fc2(F.relu6(m.fc1(x))), "any"),
    "clamp": (lambda m, x: m.fc2(m.fc1(x).clamp(0, 0.25)), "any"),
    "clamp by name": (lambda m, x: m.fc2(torch.clamp(m.fc1(x), min=0.0, max=0.25)), "any"),
    "clamp after relu": (lambda m, x: F.relu(m.fc1(x)).clamp(max=0.25), "any"),
    "clamp without limit": (lambda m, x: torch.clip(m.fc1(x), 0), "any"),
    "nested": (lambda m, x: m.fc2(m.block(m.block(m.fc1(x)))), "any"),
    "norm": (lambda m, x: m.fc2(m.norm(m.act(m.fc1(x)))), "matrix"),
    "dropout": (lambda m, x: m.fc1(F.dropout(x, 0.5, m.training)), "any"),
    "dropout by name": (lambda m, x: m.fc1(F.dropout(x, training=m.training)), "any"),
    "flatten": (lambda m, x: m.fc1(x.flatten(1)), "flatten"),
    "flatten by name": (lambda m, x: m.fc1(torch.flatten(x, start_dim=1)), "flatten"),
    "contiguous": (lambda m, x: m.fc1(x.contiguous()), "any"),
    "view": (lambda m, x: m.fc1(x.view(x.size(0), -1)), "flatten"),
    "view of shape": (lambda m, x: m.fc1(x.view(x.shape[0], 8)), "flatten"),
    "view of size()": (lambda m, x: m.fc1(x.view((x.size()[0], -1))), "flatten"),
    "reshape": (lambda m, x: m.fc1(x.reshape(-1, 8)), "split"),
}


@pytest.mark.parametrize("name", CHAINS)
def test_chains_have_the_outputs_of_the_model(name: str) -> None:
    run, row_shape = CHAINS[name]
    model = Perceptron(run)
    model.norm.running_mean.normal_()
    converted = convert_model(model)
    assert model.training
    assert model.norm.training
    assert converted.row_shape == row_shape
    x = torch.randn(5, 8)
    with torch.no_grad():
        expected = model.eval()(x).numpy()
    outputs = kk.Predictor(converted.network)(x.numpy())
    assert np.abs(outputs - expected).max() < 1e-5


def test_modules_of_modules() -> None:
    model, x = Nested(), torch.randn(5, 2, 4)
    with torch.no_grad():
        expected = model.eval()(x).numpy()
    outputs = kk.Predictor(kk.from_torch(model))(x.reshape(5, 8).numpy())
    assert np.abs(outputs - expected).max() < 1e-5


def test_a_model_in_eval_mode_stays_in_eval_mode() -> None:
    model = Perceptron(CHAINS["norm"][0]).eval()
    model.drop.train()
    kk.from_torch(model)
    assert [module.training for module in (model, model.norm, model.drop)] == [False, False, True]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the import of torch._dynamo
def test_the_model_of_torch_compile() -> None:
    model = Perceptron(CHAINS["modules"][0])
    assert kk.from_torch(torch.compile(model)).edges == kk.from_torch(model).edges


def branch(module: Any, x: Any) -> Any:
    return x if x.sum() > 0 else -x


def without_input() -> Any:
    class Constant(nn.Module):
        def forward(self) -> Any:
            return torch.zeros(2)

    return Constant()


def two_inputs() -> Any:
    class Two(nn.Module):
        def forward(self, x: Any, y: Any) -> Any:
            return x + y

    return Two()


JOINS = "joins two branches, as in a residual connection; only a chain of calls is supported"
CHAIN = "its input is not the result of the call before; only a chain of calls is supported"
OUTPUTS = "is not supported; leave it out of the model, and apply it to the outputs"
REFUSED: list[tuple[Callable[..., Any], str]] = [
    (lambda m, x: torch.tanh(m.fc1(x)), "tanh in line [0-9]+ of test_torch_trace.py is not sup"),
    (lambda m, x: m.fc1(x).softmax(1), f"softmax in line [0-9]+ of test_torch_trace.py {OUTPUTS}"),
    (lambda m, x: F.log_softmax(m.fc1(x), dim=1), f"log_softmax in line [0-9]+ .* {OUTPUTS}"),
    (lambda m, x: torch.sigmoid(m.fc1(x)).argmax(1), f"sigmoid in line [0-9]+ .* {OUTPUTS}"),
    (lambda m, x: m.fc2(torch.sigmoid(m.fc1(x))), "sigmoid in .* is not supported; supported are"),
    (lambda m, x: m.fc1(x) * 2, "mul in line [0-9]+ of test_torch_trace.py is not supported"),
    (lambda m, x: m.fc1(x) * m.scale, "Perceptron.scale: used outside a module of PyTorch"),
    (lambda m, x: m.fc1(x) + m.fc1(x), f"Perceptron.fc1: {CHAIN}"),
    (lambda m, x: m.block(m.fc1(x)) + 1, "add in line [0-9]+ .* is not supported"),
    (lambda m, x: (lambda y: m.block(y) + y)(m.fc1(x)), f"add in line [0-9]+ .*{JOINS}"),
    (lambda m, x: (m.fc1(x), 1), "Perceptron: forward must return the result of the last call"),
    (lambda m, x: {"y": m.fc1(x)}, "Perceptron: forward must return the result of the last call"),
    (lambda m, x: m.fc1(x).shape, "Perceptron: forward must return the result of the last call"),
    (branch, "Perceptron: its forward cannot be traced: .*control flow; a chain of calls without"),
    (lambda m, x: m.foo(x), "cannot be traced: 'Perceptron' object has no attribute 'foo'$"),
    (lambda m, x: m.fc1(x[0]), "getitem in line [0-9]+ .* is not supported"),
    (lambda m, x: m.fc1(F.dropout(x)), "dropout in .* drops values in eval mode too"),
    (lambda m, x: m.fc1(x).clamp(-1, 1), "clamp in .*: clamps to a lower limit of -1"),
    (lambda m, x: m.fc1(x).clamp(0, m.scale), "Perceptron.scale: used outside"),
    (lambda m, x: m.fc1(x.flatten()), r"flatten in .*: Flatten\(0, -1\); only Flatten\(1, -1\)"),
    (
        lambda m, x: m.fc1(x.view(-1)),
        r"view in .*only the shapes \(x.size\(0\), -1\) and \(-1, n\)",
    ),
    (lambda m, x: m.fc1(x.view(x.size(1), -1)), "view in .*only the shapes"),
    (lambda m, x: m.fc1(x.view(-1, 9)), "rows of 9 neurons, but the first layer has 8"),
    (lambda m, x: m.fc2(m.fc1(x).flatten(1)), "flatten in .* as the first step only"),
    (lambda m, x: m.fc1(x.view(-1, 8).view(x.size(0), -1)), "view in .* as the first step only"),
    (lambda m, x: x, "the model has no Linear layer"),
]


@pytest.mark.parametrize(("run", "message"), REFUSED, ids=[each[1] for each in REFUSED])
def test_other_models_are_refused(run: Callable[..., Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        kk.from_torch(Perceptron(run))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (without_input, "Constant: forward must take one tensor, it takes 0"),
        (two_inputs, "Two: forward must take one tensor, it takes 2"),
    ],
)
def test_other_forwards_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        kk.from_torch(make())


def test_hooks_within_a_traced_module_are_refused() -> None:
    model = Nested()
    model.first.register_forward_hook(lambda module, inputs, output: None)
    with pytest.raises(InputError, match="Nested.first: has the forward hook"):
        kk.from_torch(model)
