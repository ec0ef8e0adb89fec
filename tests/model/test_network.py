"""Networks: sizes, conversions and error messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from kkspdnn.errors import InputError
from kkspdnn.model.layers import Layer
from kkspdnn.model.network import Network, network
from kkspdnn.model.radixnet import radixnet


def square(neurons: int, dtype: Any = np.float32) -> Layer:
    return Layer.from_sparse(sp.eye_array(neurons, dtype=dtype).tocsr(), -0.5)


def test_overflow_names_the_layer() -> None:
    big = Layer.from_sparse(np.array([[1e300]]), 0.0)
    with pytest.raises(InputError, match=r"^weight: 1e\+300 is too large for float32"):
        big.astype(np.float32)
    with pytest.raises(InputError, match=r"^layer 2: weight: 1e\+300 is too large for float32"):
        network([Layer.from_sparse(np.eye(1), 0), big]).astype(np.float32)


def test_sizes_of_a_network() -> None:
    wide = Layer.from_sparse(np.ones((3, 5), np.float32), 0)
    narrow = Layer.from_sparse(np.ones((5, 2), np.float32), 0)
    net = network([wide, narrow], ymax=None, name="mine")
    assert (net.inputs, net.outputs, net.edges) == (3, 2, 25)
    assert net.dtype == np.float32
    assert (net.ymax, net.name, net.source) == (None, "mine", "memory")
    assert net.astype(np.float64).dtype == np.float64
    assert net.astype(np.float32) is net


def test_a_network_without_layers_needs_its_inputs() -> None:
    empty = network([], inputs=7)
    assert (empty.inputs, empty.outputs, empty.edges) == (7, 7, 0)
    assert empty.dtype == np.float32
    with pytest.raises(InputError, match="needs its number of input neurons"):
        network([])
    with pytest.raises(InputError, match="0 input neurons: at least 1"):
        network([], inputs=0)


def test_layers_must_chain() -> None:
    with pytest.raises(InputError, match="layer 1 has 3 outputs but layer 2 has 4 inputs"):
        network([square(3), square(4)])
    with pytest.raises(InputError, match="layer 2 has 3 outputs but layer 3 has 4 inputs"):
        network([square(3), square(3), square(4)])
    with pytest.raises(InputError, match="layer 1 has 3 inputs, the network 4"):
        network([square(3)], inputs=4)
    with pytest.raises(InputError, match="layer 1 has 32 inputs, the network 33"):
        Network(layers=radixnet(32, 1).layers, inputs=33)


def test_layers_must_have_one_dtype() -> None:
    with pytest.raises(InputError, match="layer 1 is float32 but layer 2 is float64"):
        network([square(3), square(3, np.float64)])


@pytest.mark.parametrize("ymax", [0.0, -1.0, np.nan, np.inf])
def test_ymax_must_be_positive_and_finite(ymax: float) -> None:
    with pytest.raises(InputError, match="finite and above 0, or None for no limit"):
        network([square(2)], ymax=ymax)
