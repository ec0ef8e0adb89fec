"""RadiX-Net against its definition and the official layers, and the effect of the seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from kkspdnn.errors import InputError
from kkspdnn.model.radixnet import challenge_bias, radixnet


def by_definition(neurons: int, number: int) -> np.ndarray:
    """W of layer `number` before the permutation, edge by edge."""
    base = neurons // 16
    k = base.bit_length() - 1
    shift = 2 ** ((number - 1) % k)
    weights = np.zeros((neurons, neurons), np.float32)
    for i in range(neurons):
        for j in range(neurons):
            if i % base in (j % base, (j % base + shift) % base):
                weights[i, j] = 1 / 16
    return weights


@pytest.mark.parametrize("neurons", [32, 64, 256])
def test_the_first_k_layers_match_the_definition(neurons: int) -> None:
    k = (neurons // 16).bit_length() - 1
    for number, layer in enumerate(radixnet(neurons, k).layers, start=1):
        assert (layer.weights().toarray() == by_definition(neurons, number)).all()


def test_later_layers_match_the_definition_with_permuted_inputs() -> None:
    layers = radixnet(64, 9, seed=5).layers
    for number in range(3, 10):
        permutation = np.random.default_rng([5, number]).permutation(64)
        expected = np.zeros((64, 64), np.float32)
        expected[permutation] = by_definition(64, number)
        assert (layers[number - 1].weights().toarray() == expected).all()
        assert (layers[number - 1].weights().toarray() != by_definition(64, number)).any()


def test_the_first_six_layers_are_the_official_ones(challenge_data: Path) -> None:
    with np.load(challenge_data / "n1024-l120-fanin.npz") as archive:
        official = archive["fanin"]
    layers = radixnet(1024, 7).layers
    for position in range(6):
        assert (layers[position].index.reshape(1024, 32) == official[position]).all()
    assert (layers[6].index.reshape(1024, 32) != official[6]).any()


@settings(max_examples=20)
@given(st.integers(1, 8), st.integers(1, 40), st.integers(0, 2**40))
def test_every_layer_has_the_official_structure(k: int, number: int, seed: int) -> None:
    neurons = 16 << k
    layer = radixnet(neurons, number, seed=seed).layers[-1]
    index = layer.index.reshape(neurons, 32)
    assert layer.fan_in == 32
    assert (np.diff(index.astype(np.int64), axis=1) > 0).all()
    assert (np.bincount(layer.index, minlength=neurons) == 32).all()
    base = neurons // 16
    assert (index == index[np.arange(neurons) % base]).all()
    assert (layer.value == np.float32(1 / 16)).all()


def test_the_official_permuted_layers_have_that_structure(challenge_data: Path) -> None:
    # Check the structure that the test above expects.
    with np.load(challenge_data / "n1024-l120-fanin.npz") as archive:
        official = archive["fanin"]
    for index in official[6:]:
        assert (np.bincount(index.ravel(), minlength=1024) == 32).all()
        assert (index == index[np.arange(1024) % 64]).all()


def test_layers_depend_on_seed_and_number_only() -> None:
    one, same, other = radixnet(64, 9, seed=1), radixnet(64, 20, seed=1), radixnet(64, 9, seed=2)
    for position in range(9):
        assert (one.layers[position].index == same.layers[position].index).all()
        differ = (one.layers[position].index != other.layers[position].index).any()
        assert differ == (position >= 2)


def test_sizes_are_known_without_making_layers() -> None:
    net = radixnet(65536, 1920, seed=3)
    assert net.edges == 4_026_531_840
    assert (net.inputs, net.outputs, net.ymax) == (65536, 65536, 32.0)
    assert (net.name, net.source) == ("radixnet-65536x1920-seed3", "radixnet")
    assert net.layers[0].index.dtype == np.uint16
    assert radixnet(131072, 1).layers[0].index.dtype == np.uint32
    assert radixnet(64, 0).outputs == 64


def test_float64_and_astype_agree() -> None:
    direct, cast = radixnet(64, 3, dtype=np.float64), radixnet(64, 3).astype(np.float64)
    assert direct.dtype == cast.dtype == cast.layers[2].dtype == np.float64
    # The bias is not rounded to float32 first.
    assert (cast.layers[2].bias == direct.layers[2].bias).all()
    assert (cast.layers[2].index == direct.layers[2].index).all()


@pytest.mark.parametrize(
    ("neurons", "bias"),
    [(1024, -0.30), (4096, -0.35), (16384, -0.40), (65536, -0.45), (32, -0.175), (2048, -0.325)],
)
def test_biases(neurons: int, bias: float) -> None:
    assert challenge_bias(neurons) == bias
    assert (radixnet(neurons, 1).layers[0].bias == np.float32(bias)).all()
    assert (radixnet(neurons, 1, bias=0.5).layers[0].bias == np.float32(0.5)).all()


def test_shared_arrays_cannot_be_written() -> None:
    layer = radixnet(32, 2).layers[0]
    with pytest.raises(ValueError, match="read-only"):
        layer.value[0] = 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"neurons": 1000}, r"1000 neurons: a RadiX-Net has 16 \* 2\^k, .*; use 512 or 1024$"),
        ({"neurons": 16}, "; use 32$"),
        ({"neurons": 0}, "; use 32$"),
        ({"neurons": 1 << 40}, "; use 16777216$"),
        ({"neurons": -1024}, "neurons=-1024: give a whole number from 0"),
        ({"neurons": 1024.0}, "neurons=1024.0: give a whole number from 0"),
        ({"neurons": True}, "neurons=True: give a whole number from 0"),
        ({"layers": -1}, "layers=-1: give a whole number from 0"),
        ({"seed": -1}, "seed=-1: give a whole number from 0"),
        ({"seed": 0.5}, "seed=0.5: give a whole number from 0"),
        ({"dtype": np.int32}, "use float32 or float64"),
        ({"bias": np.nan}, "every bias must be finite"),
        ({"bias": 1e300}, "too large for float32"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        radixnet(**arguments)
