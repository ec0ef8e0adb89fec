"""Merging finds exactly the equal neurons and keeps the outputs of a network."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kkspdnn.choices import EXITS
from kkspdnn.cli import main
from kkspdnn.device import memory
from kkspdnn.errors import InputError
from kkspdnn.inference import Result, infer
from kkspdnn.io.shipped_images import images
from kkspdnn.model import neuron_merging
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import ACTIVATIONS, BIAS_TO, Layer, LazyLayers
from kkspdnn.model.network import Network, network
from kkspdnn.model.radixnet import radixnet
from kkspdnn.serial_reference import reference
from kkspdnn.verify import error_bound

SPACES = ("serial", "openmp")


def layer(weights: Any, bias: Any = 0.5, dtype: str = "float32") -> Layer:
    return Layer.from_sparse(np.array(weights, dtype), bias)


def kernels(net: Network) -> list[Any]:
    """The kernels that support `net`: SpGEMM needs layers that map zeros to zeros."""
    return ["fused", "spgemm"][: 1 + all(each.keeps_zeros for each in net.layers)]


def dense(result: Result, rows: int) -> Any:
    assert result.values is not None
    assert result.values.shape[0] == result.categories.size
    assert result.values.has_sorted_indices
    full = np.zeros((rows, result.values.shape[1]))
    full[result.categories - 1] = result.values.toarray()
    return full


def equal_by_definition(net: Network) -> list[list[int]]:
    """For each layer the class of each output, computed in exact rational arithmetic."""
    classes: Sequence[int] = range(net.inputs)
    layer_classes = []
    for each in net.layers:
        class_of: dict[Any, int] = {}
        output_classes: list[int] = []
        for n in range(each.outputs):
            sums: dict[int, Fraction] = {}
            for e in range(each.start[n], each.start[n + 1]):
                source = classes[each.index[e]]
                sums[source] = sums.get(source, Fraction(0)) + Fraction(float(each.value[e]))
            edges = tuple(sorted((c, w) for c, w in sums.items() if w))
            key = (edges, float(each.bias[n]) if edges or each.bias_to == "all" else 0.0)
            output_classes.append(class_of.setdefault(key, len(class_of)))
        layer_classes.append(output_classes)
        classes = output_classes
    return layer_classes


def equal_by_merging(net: Network) -> list[list[int]]:
    """For each layer the class of each output, as merge_layer finds them."""
    classes, inputs = np.arange(net.inputs), net.inputs
    layer_classes = []
    for each in net.layers:
        merged, classes = neuron_merging.merge_layer(each, classes, inputs)
        inputs = merged.outputs
        layer_classes.append(classes.tolist())
    return layer_classes


# Which neurons are equal


@dataclass(frozen=True)
class Case:
    network: Network
    rows: Any


@st.composite
def cases(draw: Any, dtype: str, exact: bool) -> Case:
    """Networks with many equal outputs, some of which are equal only through equal inputs; constant
    and varying fan-in, outputs without edges, biases of both signs."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    widths = draw(st.lists(st.sampled_from([1, 3, 8, 20, 40]), min_size=1, max_size=6))
    copies = draw(st.sampled_from(["none", "some", "all"]))
    density = draw(st.sampled_from([0.2, 0.6, 1.0]))
    signs = draw(st.sampled_from(["plus", "both"]))
    layers = []
    equal = np.arange(widths[0])
    for inputs, outputs in zip(widths, widths[1:], strict=False):
        different = {"none": outputs, "some": rng.integers(1, outputs + 1), "all": 1}[copies]
        if exact:
            base = rng.choice([0.5, 1.0], (inputs, different))
        else:
            base = np.abs(rng.standard_normal((inputs, different)))
        base *= rng.random(base.shape) < density
        base *= 1 if signs == "plus" else rng.choice([-1, 1], base.shape)
        bias = rng.choice([-0.5, 0.0, 0.25], different)
        which = rng.integers(0, different, outputs)
        weights = base[:, which]
        for column in range(outputs):
            if rng.random() < 0.5:  # permute the inputs within each class
                permuted = rng.permutation(inputs)
                by_class = np.argsort(equal, kind="stable")
                weights[by_class, column] = weights[
                    permuted[np.argsort(equal[permuted], kind="stable")], column
                ]
        made = layer(weights, bias[which].astype(dtype), dtype)
        activation, bias_to = rng.choice(ACTIVATIONS), rng.choice(BIAS_TO)
        layers.append(replace(made, activation=activation, bias_to=bias_to))
        equal = equal_by_merging(network(layers))[-1]
        equal = np.array(equal)
    count = draw(st.sampled_from([0, 1, 70]))
    rows = rng.integers(-1 if signs == "both" else 0, 3, (count, widths[0])) * 1.0
    rows *= rng.random(rows.shape) < 0.6
    ymax = draw(st.sampled_from([None, 1.0, 4.0]))
    return Case(network(layers, ymax, inputs=widths[0]), rows.astype(dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(max_examples=100)
@given(data=st.data())
def test_exactly_the_equal_outputs_are_merged(dtype: str, data: Any) -> None:
    net = data.draw(cases(dtype, exact=True)).network
    assert equal_by_merging(net) == equal_by_definition(net)
    merged = neuron_merging.merge_neurons(net)
    assert merged.neurons == sum(each.outputs for each in net.layers)
    widths = [max(classes) + 1 for classes in equal_by_definition(net)]
    assert [each.outputs for each in merged.network.layers] == widths
    assert merged.neurons_after == sum(widths)
    assert merged.network.edges <= net.edges
    again = neuron_merging.merge_neurons(merged.network)
    assert again.neurons_after == merged.neurons_after, "a merged network has no equal neurons"


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(max_examples=50)
@given(data=st.data())
def test_rounded_sums_do_not_make_different_outputs_equal(dtype: str, data: Any) -> None:
    net = data.draw(cases(dtype, exact=False)).network
    for merged, exact in zip(equal_by_merging(net), equal_by_definition(net), strict=True):
        assert len(set(zip(merged, exact, strict=True))) == len(set(merged))


@settings(max_examples=100)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False).filter(bool), max_size=8))
def test_sums_reported_as_exact_are_exact(numbers: list[float]) -> None:
    values = np.array(numbers)
    assume(sum(map(abs, numbers)) < 1e308)
    if neuron_merging._adds_exactly(values, len(numbers)):
        assert Fraction(float(values.sum())) == sum(map(Fraction, numbers))


def test_sums_of_similar_numbers_are_reported_as_exact() -> None:
    assert neuron_merging._adds_exactly(np.full(32, 1 / 16), 32)
    assert neuron_merging._adds_exactly(np.array([3e-324, 5e-324]), 2)
    assert neuron_merging._adds_exactly(np.array([1.0, -(2.0**-52)]), 2)
    assert not neuron_merging._adds_exactly(np.array([1.0, 2.0**-53]), 2)
    assert not neuron_merging._adds_exactly(np.array([5e-324, 1e308]), 2)


def test_biases_keep_outputs_apart_but_not_the_sign_of_zero() -> None:
    weights = np.ones((3, 5))
    biases = np.array([0.5, 0.25, 0.5, 0.0, -0.0], np.float32)
    merged = neuron_merging.merge_neurons(network([layer(weights, biases)]))
    assert merged.outputs.tolist() == [0, 1, 0, 2, 2]
    assert merged.network.layers[0].bias.tolist() == [0.5, 0.25, 0]


def test_outputs_without_edges_are_equal_for_any_bias() -> None:
    unconnected = layer([[0, 1, 0, 0]], np.array([5.0, 5.0, -1.0, 0.0], np.float32))
    assert neuron_merging.merge_neurons(network([unconnected])).outputs.tolist() == [0, 1, 0, 0]
    assert equal_by_merging(network([unconnected])) == equal_by_definition(network([unconnected]))


def test_weights_are_added_and_zeros_are_dropped() -> None:
    first = layer([[1, 1, 2], [3, 3, 0]])
    second = layer([[0.5, 1, 2, 0], [0.25, -1, -2, 1], [0, 0, 1, 0]])
    merged = neuron_merging.merge_neurons(network([first, second]))
    assert [each.weights().toarray().tolist() for each in merged.network.layers] == [
        [[1, 2], [3, 0]],
        [[0.75, 0, 0, 1], [0, 0, 1, 0]],
    ]
    assert merged.network.edges == 3 + 3
    assert merged.outputs.tolist() == [0, 1, 2, 3]
    result = infer(network([first, second]), np.ones((1, 2), np.float32), fold=True, values=True)
    expected = reference(network([first, second]), Inputs.from_any(np.ones((1, 2))))
    assert dense(result, 1).tolist() == expected.toarray().tolist()


def test_outputs_become_equal_through_equal_inputs() -> None:
    """The columns of the second layer differ until its inputs are merged."""
    first = layer([[1, 1, 1]])
    second = layer([[1, 0, 0, 0.5], [0, 1, 0, 0.25], [0, 0, 1, 0.25]])
    merged = neuron_merging.merge_neurons(network([first, second]))
    assert merged.outputs.tolist() == [0, 0, 0, 0]
    assert (merged.neurons, merged.neurons_after) == (7, 2)


def test_weights_that_float64_cannot_add_are_compared_one_by_one() -> None:
    """1 and 1 + 2^-60 are the same number in float64, but not equal sums of weights."""
    tiny = 2.0**-60
    first = layer([[1, 1, 1]])
    second = layer([[1, 1, tiny, 1], [tiny, 0, 1, -1], [0, 0, 0, tiny]])
    merged = neuron_merging.merge_neurons(network([first, second]))
    assert merged.outputs.tolist() == [0, 1, 0, 2]
    weights = merged.network.layers[1].weights().toarray()
    assert weights[0, :2].tolist() == [1, 1]
    assert 0 <= weights[0, 2] <= tiny


def test_outputs_with_colliding_hashes_stay_different() -> None:
    """-1 and -2 have the same hash in Python, but are different biases."""
    assert hash(-1.0) == hash(-2.0)
    both = layer(np.ones((2, 2)), np.array([-1.0, -2.0], np.float32))
    assert neuron_merging.merge_neurons(network([both])).outputs.tolist() == [0, 1]


# The values of the merged network


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(max_examples=40)
@given(data=st.data())
def test_values_are_equal_if_nothing_rounds(dtype: str, data: Any) -> None:
    case = data.draw(cases(dtype, exact=True))
    inputs = Inputs.from_any(case.rows)
    largest = np.abs(case.rows).max(initial=0)
    for each in case.network.layers:  # every number is a multiple of 2^-(layers + 2)
        largest = largest * np.abs(each.weights().toarray()).sum(axis=0).max() + 0.5
    assume(largest * 2 ** (len(case.network.layers) + 2) < 2**24)
    expected = reference(case.network, inputs, dtype=np.float64).toarray()
    for kernel, space in itertools.product(kernels(case.network), SPACES):
        for exits in EXITS if kernel == "fused" else EXITS[:1]:
            result = infer(
                case.network,
                inputs,
                space=space,
                kernel=kernel,
                exits=exits,
                dtype=dtype,
                fold=True,
                values=True,
            )
            assert result.values is not None
            assert result.values.dtype == dtype
            assert (dense(result, inputs.rows) == expected).all()
            categories = np.flatnonzero(expected.any(axis=1)) + 1
            assert result.categories.tolist() == categories.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(max_examples=60)
@given(data=st.data())
def test_values_are_within_the_error_bound(dtype: str, data: Any) -> None:
    case = data.draw(cases(dtype, exact=False))
    inputs = Inputs.from_any(case.rows)
    expected = reference(case.network, inputs, dtype=dtype).toarray()
    bound = error_bound(case.network, inputs.largest)
    for kernel in kernels(case.network):
        result = infer(
            case.network,
            inputs,
            kernel=kernel,
            fold=True,
            values=True,
            verify="full",
        )
        assert np.abs(dense(result, inputs.rows) - expected).max(initial=0) <= bound
        assert result.record.verified.passed
        assert result.record.verified.rows == inputs.rows


def test_the_error_bound_is_needed_and_covers_merged_weights() -> None:
    """One merged weight replaces 400, and the two networks round differently."""
    rng = np.random.default_rng(3)
    first = layer(np.full((1, 400), 0.3))
    second = layer(rng.random((400, 30)), -0.7)
    net = network([first, second], None)
    rows = rng.random((50, 1)).astype(np.float32)
    merged = infer(net, rows, fold=True, values=True, verify="full").record
    assert merged.neurons_after_fold == 31
    assert merged.verified.passed
    assert merged.verified.max_abs_error is not None
    assert merged.verified.bound is not None
    assert 0 < merged.verified.max_abs_error <= merged.verified.bound < 0.1


def test_the_smallest_networks() -> None:
    rows = np.array([[0.0, 2.0], [0.0, 0.0]], np.float32)
    none = infer(network([], inputs=2), rows, fold=True, values=True)
    assert dense(none, 2).tolist() == rows.tolist()
    assert (none.record.neurons_before_fold, none.record.neurons_after_fold) == (0, 0)
    empty = infer(network([layer([[0, 0], [0, 0]])]), rows, fold=True, values=True)
    assert empty.categories.size == 0
    assert (empty.record.neurons_after_fold, empty.record.edges_after_fold) == (1, 0)


# RadiX-Net and the challenge


@pytest.mark.parametrize("neurons", [32, 64, 1024])
def test_a_radixnet_has_sixteen_of_each_neuron(neurons: int) -> None:
    net = radixnet(neurons, 12)
    bits = (neurons // 16).bit_length() - 1
    merged = neuron_merging.merge_neurons(net)
    for number, each in enumerate(merged.network.layers, start=1):
        # Each pair of residues occurs twice in layer k, where they differ by half the base. If
        # inputs are permuted, outputs may also be equal by chance.
        most = neurons // (32 if number % bits == 0 else 16)
        assert each.outputs == most if number <= bits else 1 <= each.outputs <= most
    one = neuron_merging.merge_neurons(radixnet(neurons, 1)).outputs
    assert one.tolist() == (np.arange(neurons) % (one.max() + 1)).tolist()
    assert merged.neurons == 12 * neurons


class Counted(LazyLayers):
    """Layers that record which of them were made."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.inputs, self.outputs = layers[0].inputs, layers[-1].outputs
        self.edges = sum(each.edges for each in layers)
        self.dtype = layers[0].dtype
        self.layers = layers
        self.made: list[int] = []

    def __len__(self) -> int:
        return len(self.layers)

    def make(self, position: int) -> Layer:
        self.made.append(position)
        return self.layers[position]

    def astype(self, dtype: Any) -> Counted:
        raise AssertionError(dtype)


def test_lazy_layers_are_made_once_each_in_order() -> None:
    lazy = Counted(radixnet(64, 9).layers[:])
    done: list[float] = []
    merged = neuron_merging.merge_neurons(network(lazy), done.append)
    assert lazy.made == list(range(9))
    assert done == pytest.approx([n / 9 for n in range(1, 10)])
    assert merged.network.edges < lazy.edges / 16


def test_the_record_has_the_sizes_before_and_after_merging() -> None:
    net, rows = radixnet(1024, 4), images(1024, 100)
    plain = infer(net, rows).record
    assert (plain.fold, plain.neurons_before_fold, plain.neurons_after_fold) == (False, None, None)
    assert plain.edges_after_fold is None
    merged = infer(net, rows, fold=True).record
    assert (merged.fold, merged.neurons_before_fold, merged.neurons_after_fold) == (True, 4096, 256)
    assert merged.edges == plain.edges == 1024 * 32 * 4
    edges = neuron_merging.merge_neurons(net).network.edges
    assert merged.edges_after_fold == edges < plain.edges / 16
    assert merged.edges_multiplied < plain.edges_multiplied / 8
    assert merged.edges_per_second == pytest.approx(100 * net.edges / merged.inference_seconds)
    assert merged.categories_sha256 == plain.categories_sha256


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["fused", "spgemm"])
def test_the_official_categories_with_fold(
    kernel: Any, challenge_network: Network, challenge_data: Path, challenge_categories: Any
) -> None:
    with np.load(challenge_data / "images-1024.npz") as archive:
        bits = archive["bits"][:60_000]
    rows = Inputs(60_000, 1024, "official data", bits=bits)
    result = infer(challenge_network, rows, kernel=kernel, fold=True, verify="sample")
    assert result.categories.tolist() == challenge_categories.tolist()
    assert result.record.verified.passed
    assert result.record.neurons_before_fold == 120 * 1024
    assert result.record.neurons_after_fold is not None
    assert result.record.neurons_after_fold <= 120 * 64


def test_only_rows_within_rounding_of_zero_change_their_category() -> None:
    """Many exact sums are 0 here, and the verification reports the differing categories."""
    net, rows = radixnet(64, 4), images(64, 3000)
    plain = infer(net, rows, values=True)
    merged = infer(net, rows, fold=True, values=True, verify="full")
    bound = error_bound(net)
    assert bound < 1e-3
    other = np.setxor1d(plain.categories, merged.categories)
    for result in (plain, merged):
        assert result.values is not None
        values = result.values[np.isin(result.categories, other)]
        assert values.data.max(initial=0) <= bound
    assert merged.record.verified.same_categories is (other.size == 0)
    assert merged.record.verified.max_abs_error is not None
    assert merged.record.verified.max_abs_error <= bound


# The command line and invalid input


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "r.json"
    options = ["--layers", "4", "--inputs", "50", "--json", str(file)]
    assert main.main([*options, "--fold"]) == 0
    assert (
        "\nmerging     4,096 neurons to 256, 131,072 edges to 2,432: equal neurons"
        in capsys.readouterr().out
    )
    record = json.loads(file.read_text())
    assert (record["fold"], record["neurons_after_fold"]) == (True, 256)
    assert record["verified"]["passed"]
    assert main.main(options) == 0
    assert "\nmerging " not in capsys.readouterr().out
    assert json.loads(file.read_text())["fold"] is False


def test_merged_weights_that_overflow_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sp.save_npz(tmp_path / "layer-1.npz", sp.csr_array(np.ones((1, 2))))
    sp.save_npz(tmp_path / "layer-2.npz", sp.csr_array(np.array([[3e38], [3e38]])))
    sp.save_npz(tmp_path / "inputs.npz", sp.csr_array(np.array([[0.1]])))
    options = ["--data", str(tmp_path), "--quiet"]
    assert main.main([*options, "--fold"]) == 2
    output = capsys.readouterr()
    assert output.err.startswith(
        "kkspdnn: layer 2: the weights of equal inputs add up to more than"
    )
    assert output.err.count("\n") == 1
    assert main.main(options) == 0
    assert main.main([*options, "--fold", "--dtype", "float64"]) == 0


def test_merging_without_enough_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 1000)
    with pytest.raises(InputError, match="fold=True: the neurons of layer 1 need .* MB of memory"):
        neuron_merging.merge_neurons(radixnet(64, 2))


def test_bad_input_is_refused_with_fold() -> None:
    with pytest.raises(InputError, match="have 63 neurons but the network takes 64"):
        infer(radixnet(64, 2), np.zeros((2, 63)), fold=True)
    net = network([layer([[3e38]])], None)
    with pytest.raises(InputError, match="layer 1: the activations overflow float32"):
        infer(net, np.array([[4.0]], np.float32), fold=True)
