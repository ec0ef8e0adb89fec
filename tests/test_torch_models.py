"""Networks from PyTorch models give the models' outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kkspdnn as kk
from kkspdnn.errors import InputError

torch = pytest.importorskip("torch")
nn = torch.nn


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**31),
    widths=st.lists(st.integers(1, 40), min_size=2, max_size=5),
    activations=st.lists(st.sampled_from(["relu", "none", "dropout"]), min_size=4, max_size=4),
    limit=st.booleans(),
    double=st.booleans(),
)
def test_the_outputs_are_the_model_s(
    seed: int, widths: list[int], activations: list[str], limit: bool, double: bool
) -> None:
    torch.manual_seed(seed)
    modules: list[Any] = [nn.Flatten()]
    for inputs, outputs, kind in zip(widths, widths[1:], activations, strict=False):
        modules.append(nn.Linear(inputs, outputs, bias=bool(seed % 2)))
        if kind != "none":
            modules.append(nn.ReLU6() if limit else nn.ReLU())
        if kind == "dropout":
            modules.append(nn.Dropout())
    model = nn.Sequential(modules[0], nn.Sequential(*modules[1:]))
    model = (model.double() if double else model).eval()
    rows = np.random.default_rng(seed).standard_normal((5, widths[0])) * 5
    rows = rows.astype(np.float64 if double else np.float32)
    with torch.no_grad():
        expected = model(torch.from_numpy(rows)).numpy()
    result = kk.infer(kk.from_torch(model), rows, values=True, verification="full")
    assert result.record.verified.passed
    assert result.outputs.dtype == expected.dtype
    tolerance = 1e-12 if double else 1e-4
    assert np.abs(result.outputs - expected).max() <= tolerance * max(1, np.abs(expected).max())


def test_a_linear_layer_and_pruned_weights() -> None:
    linear = nn.Linear(8, 4)
    prune = pytest.importorskip("torch.nn.utils.prune")
    prune.l1_unstructured(linear, "weight", amount=0.5)
    assert kk.from_torch(linear).edges == 16


REFUSED: list[tuple[Any, str]] = [
    (nn.Sequential(nn.Linear(2, 2), nn.Tanh()), r"Sequential.1 \(Tanh\) is not supported"),
    (nn.Sequential(nn.Conv2d(1, 1, 3)), r"Sequential.0 \(Conv2d\) is not supported"),
    (nn.Sequential(nn.ReLU(), nn.Linear(2, 2)), r"Sequential.0 \(ReLU\) comes before the first"),
    (
        nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.ReLU6()),
        "Sequential.3: ReLU and ReLU6 in one model",
    ),
    (nn.Sequential(nn.Linear(2, 3), nn.Linear(2, 2)), "layer 1 has 3 outputs but layer 2 has 2"),
    (nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).double()), "layer 1 is float32 but layer 2"),
    (nn.Sequential(), "the model has no Linear layer"),
    ("model", r"str \(str\) is not supported"),
]


@pytest.mark.parametrize(("model", "message"), REFUSED, ids=[each[1] for each in REFUSED])
def test_what_is_not_supported_is_named(model: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        kk.from_torch(model)


def test_weights_that_are_not_finite_are_refused() -> None:
    linear = nn.Linear(2, 2)
    with torch.no_grad():
        linear.weight[1, 0] = float("nan")
    with pytest.raises(InputError, match="Linear: weights: row 0, column 1 is nan"):
        kk.from_torch(linear)
