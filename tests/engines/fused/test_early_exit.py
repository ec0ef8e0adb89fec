"""Early exit: the proven bounds hold, and no other rows are retired."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kkspdnn.choices import EXITS
from kkspdnn.device.space import open_space
from kkspdnn.engines import make_engine
from kkspdnn.engines.exit_bounds import ExitBounds
from kkspdnn.engines.fused import early_exit
from kkspdnn.engines.fused.engine import FusedEngine
from kkspdnn.engines.fused.kernels import FusedKernels
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.inference import infer
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import BIAS_TO, Layer
from kkspdnn.model.network import Network, network
from kkspdnn.model.radixnet import challenge_bias, radixnet
from kkspdnn.serial_reference import reference

SERIAL = "serial"


def engine_with_bounds(
    net: Network, exits: Any = "all", inputs: Inputs | None = None
) -> FusedEngine:
    """Return an engine after `compute_exit_bounds`. inputs: by default a row of bits"""
    space, dtype = open_space(SERIAL), net.dtype
    engine = make_engine("fused", space, dtype, net.ymax, exits)
    assert isinstance(engine, FusedEngine)
    layers = LayerStore(net, engine, dtype)
    bits = np.zeros((1, -(-net.inputs // 8)), np.uint8)
    rows = inputs or Inputs(rows=1, neurons=net.inputs, source="memory", bits=bits)
    engine.warm_up(layers, rows)
    engine.compute_exit_bounds(layers, rows)
    return engine


def exit_bounds(net: Network, exits: Any = "all") -> list[ExitBounds]:
    """Return the bounds before each layer of a network and after the last one."""
    return list(engine_with_bounds(net, exits).exit_bounds)


def outputs_from(net: Network, begin: int, rows: Any) -> Any:
    """Return the output of the layers from `begin` on, without early exit."""
    rest = network(list(net.layers)[begin:], net.ymax, inputs=rows.shape[1])
    found = infer(rest, rows, space=SERIAL, exits="none", values=True)
    return found.outputs


def check_bounds(net: Network, rng: Any) -> int:
    """Check the bounds on rows that just meet them, and return the number of finite bounds."""
    count = 0
    for position, bounds in enumerate(exit_bounds(net)[:-1]):
        neurons = net.layers[position].inputs
        if bounds.max_zero >= 0:
            rows = np.full((40, neurons), bounds.max_zero, net.dtype)
            rows[1:] *= rng.random((39, neurons)).astype(net.dtype) ** 4
            assert (rows <= bounds.max_zero).all()
            assert (outputs_from(net, position, rows) == 0).all()
            count += 1
        if bounds.min_saturated < np.inf:
            assert net.ymax is not None
            rows = np.full((40, neurons), bounds.min_saturated, net.dtype)
            spread = (net.ymax - bounds.min_saturated) * rng.random((39, neurons)) ** 4
            rows[1:] = np.minimum(rows[1:] + spread.astype(net.dtype), net.ymax)
            assert (outputs_from(net, position, rows) == net.ymax).all()
            count += 1
    return count


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    widths=st.lists(st.sampled_from([1, 8, 20]), min_size=2, max_size=7),
    ymax=st.sampled_from([None, 0.75, 2.0, 32.0]),
    scale=st.sampled_from([0.3, 1.0, 2.0]),
    kind=st.sampled_from(["float32", "float64"]),
    negative=st.sampled_from([0.0, 0.0, 0.2]),
)
def test_rows_that_meet_the_bounds_have_the_proven_output(
    seed: int, widths: list[int], ymax: float | None, scale: float, kind: str, negative: float
) -> None:
    rng = np.random.default_rng(seed)
    layers = []
    for inputs, outputs in zip(widths, widths[1:], strict=False):
        weights = rng.random((inputs, outputs)) * scale
        weights[rng.random(weights.shape) < 0.3] = 0
        if rng.random() < negative:
            weights -= 0.3
        bias = rng.choice([-0.3, -0.1, 0.0, 0.2]) + rng.random(outputs) * 0.01
        bias_to = rng.choice(BIAS_TO)
        activation = "linear" if rng.random() < 0.1 else "relu"
        layers.append(
            Layer.from_sparse(
                weights.astype(kind), bias.astype(kind), activation=activation, bias_to=bias_to
            )
        )
    check_bounds(network(layers, ymax), rng)


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("neurons", [64, 1024])
def test_the_bounds_of_a_radixnet_are_close_to_its_fixed_point(neurons: int, kind: str) -> None:
    """A layer maps a row of c to a row of 2 c + b, which is larger above -b and smaller below."""
    net = radixnet(neurons, 60).astype(np.dtype(kind))
    assert check_bounds(radixnet(neurons, 6).astype(np.dtype(kind)), np.random.default_rng(1)) == 12
    bounds, edge = exit_bounds(net), -challenge_bias(neurons)
    assert 0.9999 * edge < bounds[0].max_zero < edge < bounds[0].min_saturated < 1.0001 * edge
    assert bounds[60] == ExitBounds(0, 32)
    # One layer before the end: 2 c + b is not above 0, or not below 32.
    assert edge / 2 * 0.9999 < bounds[59].max_zero <= edge / 2
    assert (32 + edge) / 2 <= bounds[59].min_saturated < (32 + edge) / 2 * 1.0001


def test_bounds_on_the_counts_of_a_first_layer() -> None:
    """The first layer maps a count of c to c / 16 - 0.3, and the bounds after it are near 0.3."""
    assert engine_with_bounds(radixnet(1024, 40)).early_exit.count_bounds == ExitBounds(9, 10)
    assert engine_with_bounds(radixnet(1024, 40), "dead").early_exit.count_bounds == ExitBounds(
        4, 33
    )
    assert engine_with_bounds(radixnet(1024, 1)).early_exit.count_bounds == ExitBounds(4, 33)


def test_counts_are_not_probed_for_dense_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """This would compile a kernel that no run uses."""
    net = radixnet(64, 6)
    launched = []
    launch = FusedKernels.compute_from_counts
    monkeypatch.setattr(
        FusedKernels,
        "compute_from_counts",
        lambda *a, **k: launched.append(1) or launch(*a, **k),
    )
    engine_with_bounds(net, inputs=Inputs.from_any(np.ones((1, 64), np.float32)))
    assert not launched
    engine_with_bounds(net)
    assert launched


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    biases=st.sampled_from([[-0.5], [-0.75, 0.5], [-0.25, -0.5, -1.0], [0.25]]),
    weight=st.sampled_from([0.25, 1.0, -0.5]),
    rule=st.sampled_from(BIAS_TO),
    activation=st.sampled_from(["relu", "relu", "linear"]),
    fan_in=st.sampled_from([1, 4, 7]),
    exits=st.sampled_from(EXITS),
)
def test_retired_counts_do_not_change_the_results(
    seed: int, biases: list[float], weight: float, rule: Any, activation: Any, fan_in: int,
    exits: Any,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    index = np.argsort(rng.random((24, 20)), axis=1)[:, :fan_in]
    bias = rng.choice(biases, 24).astype(np.float32)
    first = Layer.from_fan_in(
        index, np.float32(weight), bias, 20, bias_to=rule, activation=activation
    )
    layers = [first]
    for _ in range(int(rng.integers(0, 6))):
        weights = (rng.random((24, 24)) < 0.3) * rng.choice([0.5, 0.25])
        layers.append(layer(weights, rng.choice([-0.5, -0.25, 0.0])))
    net = network(layers, rng.choice(np.array([1.0, 2.0])))
    bits = rng.random((400, 20)) < rng.random((400, 1)) ** 2
    rows = Inputs(rows=400, neurons=20, source="memory", bits=np.packbits(bits, axis=1))
    found = infer(net, rows, space=SERIAL, exits=exits, values=True)
    expected = reference(net, rows, dtype=np.float32).toarray()
    assert found.record.order is not None
    assert found.record.order.bits_counted
    assert (found.outputs == expected).all()
    assert found.record.edges_multiplied <= 400 * net.edges


def test_bounds_without_probes() -> None:
    bounds = exit_bounds(radixnet(64, 6), "dead")
    assert [float(each.max_zero) for each in bounds] == [0] * 7
    assert all(each.min_saturated == np.inf for each in bounds)
    none = exit_bounds(radixnet(64, 6), "none")
    assert not any(each.can_retire for each in none[:-1])


def layer(weights: Any, bias: Any = 0.0, **rules: Any) -> Layer:
    return Layer.from_sparse(np.asarray(weights, np.float32), bias, **rules)


def test_a_neuron_of_small_weights_prevents_saturation() -> None:
    """Its output is below ymax for a row of ymax, so no row saturates before it."""
    strong = np.ones((4, 4))
    weak = strong.copy()
    weak[:, 2] = 0.2
    net = network([layer(strong)] * 3 + [layer(weak)] + [layer(strong)] * 2, 1.0)
    saturated = [each.min_saturated for each in exit_bounds(net)]
    # The layer after it has large weights again.
    assert saturated[4] == pytest.approx(1 / 16)
    assert saturated[3] == pytest.approx(1 / 16 / 0.8)
    last = network([layer(strong)] * 3 + [layer(weak)], 1.0)
    assert [float(each.min_saturated) for each in exit_bounds(last)] == [np.inf] * 4 + [1]
    rows = np.full((200, 4), 0.9, np.float32)
    for each in (net, last):
        found = infer(each, rows, space=SERIAL, values=True)
        expected = reference(each, Inputs.from_any(rows), dtype=np.float32).toarray()
        assert (found.outputs == expected).all()


def test_bounds_before_a_layer_with_a_negative_weight() -> None:
    """It is not monotone: if an input increases, an output decreases."""
    mixed = np.ones((4, 4))
    mixed[0, 0] = -0.5
    net = network([layer(mixed), layer(np.ones((4, 4)))], 1.0)
    first, second, _ = exit_bounds(net)
    assert (first.max_zero, first.min_saturated) == (0, 1)
    assert second.min_saturated == 0.25
    # One value is 0 after the first layer; a larger input does not increase it.
    rows = np.array([[1, 0, 0, 0]] * 200, np.float32)
    found = infer(net, rows, space=SERIAL, values=True)
    expected = reference(net, Inputs.from_any(rows), dtype=np.float32).toarray()
    assert (found.outputs == expected).all()


def test_bounds_with_a_bias_on_all_sums() -> None:
    positive = network([layer(np.eye(2), 1.0, bias_to="all")], 2.0)
    first = exit_bounds(positive)[0]
    assert first.max_zero == -np.inf
    assert first.min_saturated == 1
    negative = network([layer(np.eye(2), -1.0, bias_to="all")], 2.0)
    first = exit_bounds(negative)[0]
    assert first.max_zero == 1
    assert first.min_saturated == np.inf


def test_bounds_with_a_layer_without_relu() -> None:
    net = network([layer(np.eye(2)), layer(np.eye(2), activation="linear")], 2.0)
    first, second, last = exit_bounds(net)
    assert [float(each.max_zero) for each in (first, second, last)] == [0, 0, 0]
    assert [float(each.min_saturated) for each in (first, second, last)] == [2, 2, 2]


def test_retired_rows_are_not_computed() -> None:
    """A third of the rows goes to zero, a third saturates, a third stays the same."""
    net = network([layer(np.full((64, 64), 2 / 64), -1.0)] * 40, 32.0)
    starts = np.array([0.75, 1.25, 1.0], np.float32)
    rows = np.repeat(starts, 128)[:, None] * np.ones((1, 64), np.float32)
    found = infer(net, rows, space=SERIAL, values=True)
    expected = reference(net, Inputs.from_any(rows), dtype=np.float32).toarray()
    assert (found.outputs == expected).all()
    # The active rows, and the wasted work until compaction.
    between = 128 * net.edges
    assert between <= found.record.edges_multiplied < 1.2 * between


def test_layers_with_the_same_signature_are_probed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if no row saturates."""
    probes = []
    probe = early_exit.probe_layer
    monkeypatch.setattr(
        early_exit,
        "probe_layer",
        lambda *a: probes.append(1) or probe(*a),  # type: ignore[func-returns-value]
    )
    # 2 c - 1 / 4 is exact: the bound reaches 1 / 4 after about 24 layers.
    net = network([layer(np.full((4, 4), 0.5), -0.25)] * 200, None)
    bounds = exit_bounds(net)
    assert 0.2499 < bounds[0].max_zero < 0.25
    assert 20 < len(probes) < 40


def test_bounds_with_layers_that_are_not_resident(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    net = network([layer(rng.random((8, 8)), -rng.random(8)) for _ in range(6)], 1.0)
    whole = exit_bounds(net)
    assert whole[0].can_retire
    monkeypatch.setattr(LayerStore, "resident", property(lambda _: 2))
    assert exit_bounds(net) == whole
