"""
RadiX-Net: synthetic networks with the structure of the Sparse DNN Graph Challenge's.

Kepner, Robinett, "RadiX-Net: Structured Sparse Matrices for Deep Neural Networks" (2019);
Kepner et al., "Sparse Deep Neural Network Graph Challenge" (HPEC 2019).

A layer has N = 16 B neurons, B = 2^k. Layer l (from 1) connects input i to output j if i mod B is
j mod B or (j mod B + 2^((l-1) mod k)) mod B. These are two residues of 16 inputs each, so the
fan-in is 32. All weights are 1/16. The residues differ because 2^((l-1) mod k) < B. The smallest
network has k = 1: 32 neurons, fully connected. From layer k + 1 on, the input neurons of each layer
are permuted.

The official files come from another random generator. Their layers 1 to k equal these layers; later
layers have the same structure but other permutations.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from kkspdnn.errors import InputError
from kkspdnn.model.checks import check_whole
from kkspdnn.model.layers import Indices, Layer, LazyLayers, index_dtype
from kkspdnn.model.matrices import Floats, bias_vector, float_dtype
from kkspdnn.model.network import Network

_INPUTS_PER_RESIDUE = 16
FAN_IN = 2 * _INPUTS_PER_RESIDUE
WEIGHT = 1.0 / 16.0
_MAX_NEURONS = 16 << 20


def base_bits(neurons: int) -> int:
    """
    The k >= 1 with neurons = 16 * 2^k. InputError naming the nearest valid sizes if there is none.
    """
    k = (neurons // _INPUTS_PER_RESIDUE).bit_length() - 1
    if k >= 1 and neurons == _INPUTS_PER_RESIDUE << k and neurons <= _MAX_NEURONS:
        return k
    below = min(max(_INPUTS_PER_RESIDUE << max(k, 1), FAN_IN), _MAX_NEURONS)
    above = min(below * 2, _MAX_NEURONS)
    nearest = f"{below}" if neurons < below or above == below else f"{below} or {above}"
    raise InputError(
        f"{neurons} neurons: a RadiX-Net has 16 * 2^k, {FAN_IN} to {_MAX_NEURONS}; use {nearest}"
    )


def challenge_bias(neurons: int) -> float:
    """
    The bias of the challenge: -0.30, -0.35, -0.40, -0.45 for 1024, 4096, 16384, 65536 neurons.

    For any 16 * 2^k neurons the bias is -(0.30 + 0.025 (k - 6)), a line through these values.
    """
    return -(300 + 25 * (base_bits(neurons) - 6)) / 1000


class _RadixLayers(LazyLayers):
    """The layers of a RadiX-Net, computed on access."""

    def __init__(
        self, neurons: int, count: int, seed: int, dtype: np.dtype[Any], bias: float
    ) -> None:
        self.inputs = self.outputs = neurons
        self.edges = neurons * FAN_IN * count
        self.dtype = dtype
        self._count, self._seed, self._bias_value = count, seed, bias
        self._bits = base_bits(neurons)
        # All layers share these arrays, so they are read-only.
        self._start = np.arange(0, neurons * FAN_IN + 1, FAN_IN, dtype=np.int64)
        self._value: Floats = np.full(neurons * FAN_IN, WEIGHT, dtype)
        self._bias = bias_vector(bias, neurons, dtype, "radixnet")
        for shared in (self._start, self._value, self._bias):
            shared.flags.writeable = False

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickle the parameters: they are small, and the arrays of a copy are read-only again.
        arguments = self.inputs, self._count, self._seed, self.dtype, self._bias_value
        return type(self), arguments

    def __len__(self) -> int:
        return self._count

    def astype(self, dtype: DTypeLike) -> _RadixLayers:
        return _RadixLayers(
            self.inputs, self._count, self._seed, float_dtype(dtype), self._bias_value
        )

    def make(self, position: int) -> Layer:
        return Layer(
            inputs=self.inputs,
            outputs=self.outputs,
            start=self._start,
            index=self._index(position + 1),
            value=self._value,
            bias=self._bias,
        )

    def _index(self, number: int) -> Indices:
        """The input indices of layer `number`, counted from 1."""
        base = self.inputs // _INPUTS_PER_RESIDUE
        dtype = index_dtype(self.inputs)
        residue = np.arange(base, dtype=np.int64)
        other = (residue + (1 << ((number - 1) % self._bits))) % base
        # One row of inputs for each residue. Rows ascend because both residues are below base.
        pair = np.stack((np.minimum(residue, other), np.maximum(residue, other)), axis=1)
        inputs = pair[:, None, :] + base * np.arange(_INPUTS_PER_RESIDUE)[:, None]
        rows: Any = inputs.reshape(base, FAN_IN).astype(dtype)
        if number > self._bits:
            permutation = np.random.default_rng([self._seed, number]).permutation(self.inputs)
            rows = np.sort(permutation.astype(dtype)[rows], axis=1)
        # Output j has the inputs of output j mod base.
        index: Indices = np.tile(rows, (_INPUTS_PER_RESIDUE, 1)).ravel()
        return index


def radixnet(
    neurons: int = 1024,
    layers: int = 120,
    *,
    seed: int = 0,
    dtype: DTypeLike = np.float32,
    bias: float | None = None,
) -> Network:
    """
    A RadiX-Net with `layers` layers of `neurons` neurons. Layers are made on access.

    neurons: 16 * 2^k, at least 32
    seed: of the permutations. A layer l > k connects to input p[i] instead of input i, with p =
    numpy.random.default_rng([seed, l]).permutation(neurons), so layers are independent
    bias: one bias for all neurons; None: the challenge's, see `challenge_bias`

    ymax is 32, as in the challenge. InputError for another number of neurons, for a negative number
    of layers, and for a negative seed.
    """
    size, count = check_whole("neurons", neurons, 0), check_whole("layers", layers, 0)
    check_whole("seed", seed, 0)
    checked_dtype = float_dtype(dtype)
    base_bits(size)
    bias = challenge_bias(size) if bias is None else bias
    lazy_layers = _RadixLayers(size, count, int(seed), checked_dtype, bias)
    return Network(
        layers=lazy_layers,
        inputs=size,
        name=f"radixnet-{size}x{count}-seed{seed}",
        source="radixnet",
    )
