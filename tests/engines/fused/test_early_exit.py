"""Rows leave where their end is known: what is proved holds, and nothing else leaves."""

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
from kkspdnn.engines.fused.early_exit import MOST_TRIED, Response, ends_before
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


def proof(net: Network, exits: Any = "all", given: Inputs | None = None) -> FusedEngine:
    """An engine for which a network is proved, for rows of bits if none are given."""
    space, dtype = open_space(SERIAL), net.dtype
    engine = make_engine("fused", space, dtype, net.ymax, exits)
    assert isinstance(engine, FusedEngine)
    layers = LayerStore(net, engine, dtype)
    bits = np.zeros((1, -(-net.inputs // 8)), np.uint8)
    rows = given or Inputs(rows=1, neurons=net.inputs, source="memory", bits=bits)
    engine.warm_up(layers, rows)
    engine.compute_exit_bounds(layers, rows)
    return engine


def proved(net: Network, exits: Any = "all") -> list[ExitBounds]:
    """The ends before each layer of a network, and after the last one."""
    return list(proof(net, exits).ends)


def computed(net: Network, begin: int, rows: Any) -> Any:
    """What the layers from `begin` on make of rows, every one of which goes to the end."""
    rest = network(list(net.layers)[begin:], net.ymax, inputs=rows.shape[1])
    found = infer(rest, rows, space=SERIAL, exits="none", values=True)
    return found.outputs


def holds(net: Network, rng: Any) -> int:
    """Check what is proved on rows that only just leave; how many proofs there were."""
    count = 0
    for position, ends in enumerate(proved(net)[:-1]):
        neurons = net.layers[position].inputs
        if ends.dead >= 0:
            rows = np.full((40, neurons), ends.dead, net.dtype)
            rows[1:] *= rng.random((39, neurons)).astype(net.dtype) ** 4
            assert (rows <= ends.dead).all()
            assert (computed(net, position, rows) == 0).all()
            count += 1
        if ends.saturated < np.inf:
            assert net.ymax is not None
            rows = np.full((40, neurons), ends.saturated, net.dtype)
            spread = (net.ymax - ends.saturated) * rng.random((39, neurons)) ** 4
            rows[1:] = np.minimum(rows[1:] + spread.astype(net.dtype), net.ymax)
            assert (computed(net, position, rows) == net.ymax).all()
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
def test_rows_between_proved_values_end_as_proved(
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
    holds(network(layers, ymax), rng)


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("neurons", [64, 1024])
def test_in_a_radixnet_values_near_the_fixed_point_decide(neurons: int, kind: str) -> None:
    """A row of c becomes one of 2 c + b, so that it grows above -b and shrinks below."""
    net = radixnet(neurons, 60).astype(np.dtype(kind))
    assert holds(radixnet(neurons, 6).astype(np.dtype(kind)), np.random.default_rng(1)) == 12
    ends, edge = proved(net), -challenge_bias(neurons)
    assert 0.9999 * edge < ends[0].dead < edge < ends[0].saturated < 1.0001 * edge
    assert ends[60] == ExitBounds(0, 32)
    # One layer before the end: 2 c + b is not above 0, or not below 32.
    assert edge / 2 * 0.9999 < ends[59].dead <= edge / 2
    assert (32 + edge) / 2 <= ends[59].saturated < (32 + edge) / 2 * 1.0001


def test_counts_of_a_first_layer_decide_as_its_activations_do() -> None:
    """A count of c becomes c / 16 - 0.3, and 0.3 decides after it."""
    assert proof(radixnet(1024, 40)).early_exit.count_ends == ExitBounds(9, 10)
    assert proof(radixnet(1024, 40), "dead").early_exit.count_ends == ExitBounds(4, 33)
    assert proof(radixnet(1024, 1)).early_exit.count_ends == ExitBounds(4, 33)


def test_counts_are_not_tried_for_rows_that_are_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A kernel would be compiled for it that is never used."""
    net = radixnet(64, 6)
    launched = []
    activate = FusedKernels.activate
    monkeypatch.setattr(
        FusedKernels, "activate", lambda *a, **k: launched.append(1) or activate(*a, **k)
    )
    proof(net, given=Inputs.from_any(np.ones((1, 64), np.float32)))
    assert not launched
    proof(net)
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
def test_rows_that_leave_as_soon_as_they_are_counted_change_nothing(
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


def test_rows_of_zeros_alone_leave_without_the_proof() -> None:
    ends = proved(radixnet(64, 6), "dead")
    assert [float(each.dead) for each in ends] == [0] * 7
    assert all(each.saturated == np.inf for each in ends)
    none = proved(radixnet(64, 6), "none")
    assert not any(each.any for each in none[:-1])


def layer(weights: Any, bias: Any = 0.0, **rules: Any) -> Layer:
    return Layer.from_sparse(np.asarray(weights, np.float32), bias, **rules)


def test_a_weak_neuron_of_a_late_layer_keeps_rows_going() -> None:
    """It needs more than ymax to come to ymax, so no row saturates before it."""
    strong = np.ones((4, 4))
    weak = strong.copy()
    weak[:, 2] = 0.2
    net = network([layer(strong)] * 3 + [layer(weak)] + [layer(strong)] * 2, 1.0)
    saturated = [each.saturated for each in proved(net)]
    # The layer after the weak one brings back what it weakened.
    assert saturated[4] == pytest.approx(1 / 16)
    assert saturated[3] == pytest.approx(1 / 16 / 0.8)
    last = network([layer(strong)] * 3 + [layer(weak)], 1.0)
    assert [float(each.saturated) for each in proved(last)] == [np.inf] * 4 + [1]
    rows = np.full((200, 4), 0.9, np.float32)
    for each in (net, last):
        found = infer(each, rows, space=SERIAL, values=True)
        expected = reference(each, Inputs.from_any(rows), dtype=np.float32).toarray()
        assert (found.outputs == expected).all()


def test_before_a_negative_weight_only_rows_of_one_value_leave() -> None:
    """Such a layer is not monotone: more of an input is less of an output."""
    mixed = np.ones((4, 4))
    mixed[0, 0] = -0.5
    net = network([layer(mixed), layer(np.ones((4, 4)))], 1.0)
    first, second, _ = proved(net)
    assert (first.dead, first.saturated) == (0, 1)
    assert second.saturated == 0.25
    # One value is 0 after the first layer, and more of that input would not help it.
    rows = np.array([[1, 0, 0, 0]] * 200, np.float32)
    found = infer(net, rows, space=SERIAL, values=True)
    expected = reference(net, Inputs.from_any(rows), dtype=np.float32).toarray()
    assert (found.outputs == expected).all()


def test_a_bias_for_zeros_too_moves_both_ends() -> None:
    wakes = network([layer(np.eye(2), 1.0, bias_to="all")], 2.0)
    first = proved(wakes)[0]
    assert first.dead == -np.inf
    assert first.saturated == 1
    calms = network([layer(np.eye(2), -1.0, bias_to="all")], 2.0)
    first = proved(calms)[0]
    assert first.dead == 1
    assert first.saturated == np.inf


def test_a_layer_without_relu_keeps_rows_of_zeros_only() -> None:
    net = network([layer(np.eye(2)), layer(np.eye(2), activation="linear")], 2.0)
    first, second, last = proved(net)
    assert [float(each.dead) for each in (first, second, last)] == [0, 0, 0]
    assert [float(each.saturated) for each in (first, second, last)] == [2, 2, 2]


def test_rows_whose_end_is_known_are_not_computed() -> None:
    """Of three kinds of rows one shrinks, one grows, and one stays between."""
    net = network([layer(np.full((64, 64), 2 / 64), -1.0)] * 40, 32.0)
    kinds = np.array([0.75, 1.25, 1.0], np.float32)
    rows = np.repeat(kinds, 128)[:, None] * np.ones((1, 64), np.float32)
    found = infer(net, rows, space=SERIAL, values=True)
    expected = reference(net, Inputs.from_any(rows), dtype=np.float32).toarray()
    assert (found.outputs == expected).all()
    # Those between, and what it costs until it pays to move them together.
    between = 128 * net.edges
    assert between <= found.record.edges_multiplied < 1.2 * between


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_tried_before_a_layer(dtype: Any) -> None:
    """2 c - 1 in an arithmetic that loses the last bits: what it would tell is not believed."""
    asked = []

    def answers(values: Any) -> tuple[Any, Any]:
        asked.append(values)
        exact = np.float64(values) * 2 - 1
        lost = 1000 * np.finfo(dtype).eps
        least, most = (np.clip(exact * w, 0, 9).astype(dtype) for w in (1 - lost, 1 + lost))
        return least, most

    response = Response((2.0, 2.0), (-1.0, -1.0))
    found = ends_before(response, answers, ExitBounds(dtype(1), dtype(3)), dtype(9))
    assert [each.dtype for each in asked] == [dtype]
    assert asked[0].size == MOST_TRIED
    least, most = answers(np.array([found.dead, found.saturated]))
    assert most[0] <= 1
    assert least[1] >= 3
    assert 0.9 < found.dead < 1
    assert 2 < found.saturated < 2.1


def test_the_response_of_a_layer() -> None:
    weights = np.array([[1, 0, 2, 0], [1, 0, 0.5, 0]])
    found = Response.of(layer(weights, [1, 2, 3, -4]), None)
    assert found == Response((0.0, 2.5), (-4.0, 3.0))
    assert Response.of(layer(weights > 0, [1, 2, 3, -4]), 1.0) == Response((0.0, 2.0), (-4.0, 3.0))
    assert Response.of(layer(-weights), None) is None
    assert Response.of(layer(weights < 0.1), -1.0) is None
    assert Response.of(layer(weights, activation="linear"), None) is None


def test_of_layers_that_are_alike_one_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where no row saturates."""
    tried = []
    probe = early_exit.probe_layer
    monkeypatch.setattr(
        early_exit,
        "probe_layer",
        lambda *a: tried.append(1) or probe(*a),  # type: ignore[func-returns-value]
    )
    # 2 c - 1 / 4, of numbers that are exact: 1 / 4 is reached after so many halvings.
    net = network([layer(np.full((4, 4), 0.5), -0.25)] * 200, None)
    ends = proved(net)
    assert 0.2499 < ends[0].dead < 0.25
    assert 20 < len(tried) < 40


def test_layers_that_are_not_held_are_proved_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    net = network([layer(rng.random((8, 8)), -rng.random(8)) for _ in range(6)], 1.0)
    whole = proved(net)
    assert whole[0].any
    monkeypatch.setattr(LayerStore, "held", property(lambda _: 2))
    assert proved(net) == whole
