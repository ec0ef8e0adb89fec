"""Signatures of layers whose output neurons are all alike."""

from __future__ import annotations

from typing import Any

import numpy as np

from kkspdnn.engines.uniform_layers import common_value, uniform_signature
from kkspdnn.model.layers import Layer


def signature(weights: Any, bias: Any = -1.0) -> Any:
    layer = Layer.from_sparse(np.asarray(weights, np.float32), bias)
    return uniform_signature(layer, common_value(layer.value))


def test_equal_outputs_have_a_signature() -> None:
    """It does not depend on which inputs an output has."""
    other = np.eye(4)[::-1]
    assert signature(np.eye(4)) is not None
    assert signature(np.eye(4)) == signature(other)
    assert signature(np.eye(4)) != signature(2 * np.eye(4))
    assert signature(np.eye(4)) != signature(np.eye(4), -2.0)
    assert signature(np.eye(4)) != signature(np.eye(5)[:, :4])


def test_different_outputs_have_no_signature() -> None:
    assert signature(np.diag([1, 1, 2])) is None
    assert signature(np.triu(np.ones((3, 3)))) is None
    assert signature(np.eye(3), [1.0, 1.0, 2.0]) is None
    assert signature(np.zeros((3, 3))) is None


def test_common_value() -> None:
    assert common_value(np.array([2.0, 2.0])) == 2
    assert common_value(np.array([2.0, 3.0])) is None
    assert common_value(np.array([])) is None
