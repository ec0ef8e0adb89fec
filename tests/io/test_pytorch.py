"""Networks from PyTorch models compute the outputs of the models."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kkspdnn as kk
from kkspdnn.errors import InputError

torch = pytest.importorskip("torch", reason="no torch: pip install torch")
nn = torch.nn


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**31),
    widths=st.lists(st.integers(1, 40), min_size=2, max_size=5),
    activations=st.lists(st.sampled_from(["relu", "none", "dropout"]), min_size=4, max_size=4),
    limit=st.booleans(),
    double=st.booleans(),
)
def test_the_outputs_equal_those_of_the_model(
    seed: int, widths: list[int], activations: list[str], limit: bool, double: bool
) -> None:
    torch.manual_seed(seed)
    modules: list[Any] = [nn.Flatten()]
    for inputs, outputs, activation in zip(widths, widths[1:], activations, strict=False):
        modules.append(nn.Linear(inputs, outputs, bias=bool(seed % 2)))
        if activation != "none":
            modules.append(nn.ReLU6() if limit else nn.ReLU())
        if activation == "dropout":
            modules.append(nn.Dropout())
    model = nn.Sequential(modules[0], nn.Sequential(*modules[1:]))
    model = (model.double() if double else model).eval()
    rows = np.random.default_rng(seed).standard_normal((5, widths[0])) * 5
    rows = rows.astype(np.float64 if double else np.float32)
    with torch.no_grad():
        expected = model(torch.from_numpy(rows)).numpy()
    result = kk.infer(kk.from_torch(model), rows, values=True, verify="full")
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
    (
        nn.Sequential(nn.Linear(2, 2), nn.Softmax(1)),
        r"Sequential.1 \(Softmax\) is not supported; apply it to the outputs: "
        r"nn.Sequential\(kk.compile\(model\[:-1\]\), nn.Softmax\(dim=1\)\)",
    ),
    (
        nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.LogSoftmax(1))),
        r"Sequential.0.1 \(LogSoftmax\) is not supported; leave it out of the model",
    ),
    (nn.Sigmoid(), r"^Sigmoid \(Sigmoid\) is not supported; leave it out"),
    (
        nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 2)),
        r"Sequential.1 \(Sigmoid\) is not supported; supported are",
    ),
    (nn.Sequential(nn.Conv2d(1, 1, 3)), r"Sequential.0 \(Conv2d\) is not supported"),
    (nn.Sequential(nn.ReLU(), nn.Linear(2, 2)), "Sequential.0: an activation before the first"),
    (
        nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.ReLU6()),
        "Sequential.3: an activation with the upper limit 6, but Sequential.1 has no upper limit",
    ),
    (nn.Sequential(nn.Linear(2, 2), nn.Hardtanh()), "Sequential.1: clamps to a lower limit of -1"),
    (nn.Sequential(nn.Linear(2, 3), nn.Linear(2, 2)), "layer 1 has 3 outputs but layer 2 has 2"),
    (nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).double()), "layer 1 is float32 but layer 2"),
    (nn.Sequential(), "the model has no Linear layer"),
    ("model", "model of type str is not supported; give a torch.nn.Module"),
]


@pytest.mark.parametrize(("model", "message"), REFUSED, ids=[each[1] for each in REFUSED])
def test_unsupported_models_are_refused(model: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        kk.from_torch(model)


def test_weights_that_are_not_finite_are_refused() -> None:
    linear = nn.Linear(2, 2)
    with torch.no_grad():
        linear.weight[1, 0] = float("nan")
    with pytest.raises(InputError, match="Linear: weights: row 0, column 1 is nan"):
        kk.from_torch(linear)


def expected_outputs(model: Any, rows: Any) -> Any:
    """The outputs of the model in eval mode. Its own mode is restored."""
    modes = [(module, module.training) for module in model.modules()]
    with torch.no_grad():
        outputs = model.eval()(torch.from_numpy(rows)).numpy()
    for module, training in modes:
        module.training = training
    return outputs


def check_outputs(model: Any, inputs: int) -> None:
    rows = np.random.default_rng(inputs).standard_normal((5, inputs)).astype(np.float32)
    net = kk.from_torch(model)
    expected = expected_outputs(model, rows)
    outputs = kk.Predictor(net)(rows)
    assert outputs.shape == expected.shape
    assert np.abs(outputs - expected).max() <= 1e-4 * max(1, np.abs(expected).max())


def test_a_module_may_occur_more_than_once() -> None:
    act, tied = nn.ReLU(), nn.Linear(16, 16)
    shared = nn.Sequential(nn.Linear(16, 16), act, nn.Linear(16, 16), act, nn.Linear(16, 4))
    assert [layer.activation for layer in kk.from_torch(shared).layers] == [
        "relu",
        "relu",
        "linear",
    ]
    check_outputs(shared, 16)
    twice = nn.Sequential(tied, nn.ReLU(), tied)
    assert len(kk.from_torch(twice).layers) == 2
    check_outputs(twice, 16)
    block = nn.Sequential(tied, act)
    nested = nn.Sequential(block, nn.Sequential(block, nn.Dropout(), block), act)
    assert len(kk.from_torch(nested).layers) == 3
    check_outputs(nested, 16)


def pruned(seed: int) -> Any:
    prune = pytest.importorskip("torch.nn.utils.prune")
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))
    for layer in (model[0], model[2]):
        prune.l1_unstructured(layer, "weight", amount=0.5)
        prune.random_unstructured(layer, "weight", amount=0.3)
    prune.l1_unstructured(model[0], "bias", amount=2)
    return model


def weight_normed(seed: int) -> Any:
    torch.manual_seed(seed)
    linears = [nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 4)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        normed = [
            nn.utils.weight_norm(each, dim=dim)
            for each, dim in zip(linears, (0, 1, None), strict=True)
        ]
    return nn.Sequential(normed[0], nn.ReLU(), normed[1], nn.ReLU(), normed[2])


def spectral_normed(seed: int) -> Any:
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        first = nn.utils.spectral_norm(nn.Linear(8, 8))
    return nn.Sequential(first, nn.ReLU(), nn.Linear(8, 4))


def parametrized(seed: int) -> Any:
    torch.manual_seed(seed)
    parametrizations = nn.utils.parametrizations
    first = parametrizations.weight_norm(nn.Linear(8, 8))
    second = parametrizations.spectral_norm(nn.Linear(8, 4))
    return nn.Sequential(first, nn.ReLU(), second)


COMPUTED = [pruned, weight_normed, spectral_normed, parametrized]


@pytest.mark.parametrize("make", COMPUTED)
def test_computed_weights_after_load_state_dict(make: Callable[[int], Any]) -> None:
    """The attribute `weight` of the second model is out of date until a forward pass."""
    model = make(1)
    model.load_state_dict(make(0).state_dict())
    check_outputs(model, 8)


@pytest.mark.slow
@pytest.mark.parametrize("make", COMPUTED)
def test_computed_weights_after_a_step_of_training(make: Callable[[int], Any]) -> None:
    model = make(0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    rows = torch.rand(16, 8)
    for _ in range(3):
        optimizer.zero_grad()
        (model(rows) ** 2).mean().backward()
        optimizer.step()
    assert model.training
    before = {name: value.clone() for name, value in model.state_dict().items()}
    check_outputs(model, 8)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_outputs_of_random_models(data: Any) -> None:
    """Modules may be shared, nested, pruned or normed, and weights loaded again."""
    prune = pytest.importorskip("torch.nn.utils.prune")
    seed = data.draw(st.integers(0, 2**31))

    def make(seed: int, plan: list[tuple[str, int]]) -> Any:
        torch.manual_seed(seed)
        square, relu, modules = nn.Linear(6, 6), nn.ReLU(), list[Any]()
        for step, variant in plan:
            if step == "linear":
                linear = square if variant == 0 else nn.Linear(6, 6, bias=variant > 1)
                if variant == 3:
                    prune.l1_unstructured(linear, "weight", amount=0.4)
                if variant == 4:
                    linear = nn.utils.parametrizations.weight_norm(linear)
                modules.append(linear)
            elif step == "relu":
                modules.append(relu if variant % 2 else nn.ReLU())
            elif step == "nest" and modules:
                modules = [nn.Sequential(*modules)]
            elif step == "again" and modules:
                modules.append(modules[variant % len(modules)])
            else:
                modules.append(nn.Dropout() if variant % 2 else nn.Identity())
        return nn.Sequential(nn.Linear(6, 6), *modules)

    steps = st.sampled_from(["linear", "linear", "relu", "nest", "again", "other"])
    plan = data.draw(st.lists(st.tuples(steps, st.integers(0, 4)), max_size=8))
    model = make(seed, plan)
    model.load_state_dict(make(seed + 1, plan).state_dict())
    check_outputs(model, 6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_exact_in_float32(dtype: str) -> None:
    model = nn.Sequential(nn.Linear(5, 4), nn.ReLU()).to(getattr(torch, dtype))
    net = kk.from_torch(model)
    assert net.dtype == np.float32
    assert (net.layers[0].weights().toarray() == model[0].weight.detach().float().numpy().T).all()


def with_hook(register: Callable[[Any], Any]) -> Any:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    register(model)
    return model


def scaled(module: Any, *_: Any) -> None:
    """A hook whose effect from_torch does not know."""


class Halved(nn.Module):
    def forward(self, weight: Any) -> Any:
        raise ValueError("only sometimes")


def replaced_forward(model: Any) -> None:
    model[0].forward = lambda rows: rows


def pruned_component() -> Any:
    prune = pytest.importorskip("torch.nn.utils.prune")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        linear = nn.utils.weight_norm(nn.Linear(2, 2))
    prune.l1_unstructured(linear, "weight_v", amount=1)
    return linear


class Counting(nn.Sequential):
    def forward(self, rows: Any) -> Any:
        return 2 * super().forward(rows)


class Wider(nn.Linear):
    pass


def of_dtype(dtype: str) -> Any:
    linear = nn.Linear(2, 2)
    linear.weight = nn.Parameter(linear.weight.detach().to(getattr(torch, dtype)), False)
    return linear


def normed(*modules: Any, seed: int = 0) -> Any:
    """A Sequential whose BatchNorm1d modules have statistics and parameters of training."""
    torch.manual_seed(seed)
    model = nn.Sequential(*modules)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.1, 4)
            if module.affine:
                with torch.no_grad():
                    module.weight.normal_()
                    module.bias.normal_()
    return model


@pytest.mark.parametrize(
    ("modules", "edges"),
    [
        ([nn.Linear(8, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 4)], [48, 24]),
        ([nn.Linear(8, 6), nn.Dropout(), nn.BatchNorm1d(6), nn.ReLU6()], [48]),
        ([nn.Linear(8, 6), nn.BatchNorm1d(6), nn.Hardtanh(0, 0.5)], [48]),
        ([nn.Linear(8, 6, bias=False), nn.BatchNorm1d(6, affine=False)], [48]),
        ([nn.BatchNorm1d(8), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4)], [48, 24]),
        ([nn.Linear(8, 6), nn.ReLU(), nn.BatchNorm1d(6), nn.Linear(6, 4)], [48, 24]),
        ([nn.Linear(8, 6), nn.ReLU(), nn.BatchNorm1d(6, eps=0.5, momentum=None)], [48, 6]),
        ([nn.Flatten(), nn.BatchNorm1d(8), nn.BatchNorm1d(8), nn.Linear(8, 6)], [48]),
    ],
)
def test_batch_normalizations_are_folded(modules: list[Any], edges: list[int]) -> None:
    model = normed(*modules)
    assert [layer.edges for layer in kk.from_torch(model).layers] == edges
    check_outputs(model, 8)
    assert model.training
    assert kk.from_torch(model).dtype == np.float32
    assert kk.from_torch(model.double()).dtype == np.float64


@pytest.mark.slow
@settings(max_examples=30)
@given(data=st.data())
def test_batch_normalizations_at_random_positions(data: Any) -> None:
    """The bound is relative to the largest intermediate sums, in which rounding errors arise."""
    seed = data.draw(st.integers(0, 2**31))
    kinds = st.sampled_from(["linear", "norm", "relu", "dropout"])
    make = {
        "linear": lambda: nn.Linear(6, 6),
        "norm": lambda: nn.BatchNorm1d(6),
        "relu": nn.ReLU,
        "dropout": nn.Dropout,
    }
    modules = [make[kind]() for kind in data.draw(st.lists(kinds, max_size=9))]
    before = [nn.BatchNorm1d(6)] if data.draw(st.booleans()) else []
    model = normed(*before, nn.Linear(6, 6), *modules, seed=seed).double()
    rows = np.random.default_rng(seed).standard_normal((5, 6))
    hooks = [
        module.register_forward_hook(
            lambda module, inputs, output: values.append(float(output.abs().max()))
        )
        for module in model
    ]
    values: list[float] = []
    expected = expected_outputs(model, rows)
    largest = max(1.0, *values)
    for hook in hooks:
        hook.remove()
    outputs = kk.reference(kk.from_torch(model), rows).toarray()
    assert np.abs(outputs - expected).max() <= 1e-10 * largest


UNSUPPORTED: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: with_hook(lambda model: model[0].register_forward_hook(scaled)),
        "Sequential.0: has the forward hook scaled",
    ),
    (
        lambda: with_hook(lambda model: model[0].register_forward_pre_hook(scaled)),
        "Sequential.0: has the forward hook scaled",
    ),
    (
        lambda: with_hook(lambda model: model[1].register_forward_hook(scaled)),
        "Sequential.1: has the forward hook",
    ),
    (
        lambda: with_hook(lambda model: model.register_forward_hook(scaled)),
        "Sequential: has the forward hook",
    ),
    (lambda: with_hook(replaced_forward), "Sequential.0: its forward was replaced"),
    (
        lambda: Counting(nn.Linear(2, 2)),
        r"Counting: mul in line [0-9]+ of test_pytorch.py is not supported",
    ),
    (lambda: Wider(2, 2), "Wider.weight: used outside a module of PyTorch; use a Linear"),
    (lambda: nn.LazyLinear(2), r"LazyLinear \(LazyLinear\) is not supported"),
    (pruned_component, "Linear: a hook computes weight_v"),
    (lambda: nn.Linear(2, 2, device="meta"), "Linear.weight: on the meta device"),
    (lambda: of_dtype("float8_e4m3fn"), "Linear.weight: float8_e4m3fn values"),
    (lambda: of_dtype("complex64"), "Linear.weight: complex64 values"),
    (
        lambda: nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, track_running_stats=False)),
        "Sequential.1: a BatchNorm1d without running statistics depends on the other rows",
    ),
    (
        lambda: nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, eps=-1.0)),
        "Sequential.1: eps -1.0: it must be finite and not negative",
    ),
    (
        lambda: nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(3)),
        "Sequential.1: has 3 numbers for 2 neurons",
    ),
    (lambda: nn.BatchNorm1d(3), "the model has no Linear layer"),
    (
        lambda: nn.Sequential(nn.Linear(2, 2), nn.Flatten()),
        "Sequential.1: a flatten or view is supported as the first step only",
    ),
    (lambda: nn.Sequential(nn.Flatten(0), nn.Linear(2, 2)), r"Sequential.0: Flatten\(0, -1\)"),
]


@pytest.mark.parametrize(("make", "message"), UNSUPPORTED, ids=[each[1] for each in UNSUPPORTED])
def test_models_with_other_computations_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        kk.from_torch(make())
    assert "\n" not in str(caught.value)


def test_a_parametrization_that_fails_is_refused() -> None:
    linear = nn.Linear(2, 2)
    passing = nn.Identity()
    nn.utils.parametrize.register_parametrization(linear, "weight", passing)
    assert kk.from_torch(linear).edges == 4
    linear.parametrizations.weight[0] = Halved()
    with pytest.raises(InputError, match="ParametrizedLinear.weight: cannot be .*only sometimes"):
        kk.from_torch(linear)


def test_global_hooks_are_refused() -> None:
    handle = nn.modules.module.register_module_forward_hook(scaled)
    try:
        with pytest.raises(InputError, match="Linear: has the forward hook scaled"):
            kk.from_torch(nn.Linear(2, 2))
    finally:
        handle.remove()
    assert kk.from_torch(nn.Linear(2, 2)).edges == 4


def test_backward_hooks_are_allowed() -> None:
    linear = nn.Linear(2, 2)
    linear.register_full_backward_hook(scaled)
    assert kk.from_torch(linear).edges == 4
