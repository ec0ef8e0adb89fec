"""
RadiX-Net: the sparse networks of the Sparse DNN Graph Challenge, made from a seed.

Kepner, Robinett, "RadiX-Net: Structured Sparse Matrices for Deep Neural Networks" (2019);
Kepner et al., "Sparse Deep Neural Network Graph Challenge" (HPEC 2019).

N = 16 B neurons a layer, B = 2^k. Layer l (from 1) joins input i to output j where i mod B is j mod
B or (j mod B + 2^((l-1) mod k)) mod B: two residues, 16 inputs each, so a fan-in of 32, every
weight 1/16. The residues never coincide (2^s < B), so k = 1 is the smallest network: 32 neurons,
fully connected. From layer k+1 on the input neurons of each layer are permuted. The official files
come from another random generator: their layers 1 to k are these exactly, later ones have the same
structure only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from kkspdnn.errors import InputError
from kkspdnn.model.matrices import Floats, bias_vector, float_dtype
from kkspdnn.model.network import Indices, Layer, LazyLayers, Network, index_dtype

_COPIES = 16
FAN_IN = 2 * _COPIES
WEIGHT = 1.0 / 16.0
_MOST_NEURONS = 16 << 20


def base_bits(neurons: int) -> int:
    """
    k, where neurons = 16 * 2^k and k >= 1; InputError naming the nearest legal sizes otherwise.
    """
    k = (neurons // _COPIES).bit_length() - 1
    if k >= 1 and neurons == _COPIES << k and neurons <= _MOST_NEURONS:
        return k
    below = min(max(_COPIES << max(k, 1), FAN_IN), _MOST_NEURONS)
    above = min(below * 2, _MOST_NEURONS)
    nearest = f"{below}" if neurons < below or above == below else f"{below} or {above}"
    raise InputError(
        f"{neurons} neurons: a RadiX-Net has 16 * 2^k, {FAN_IN} to {_MOST_NEURONS}; use {nearest}"
    )


def challenge_bias(neurons: int) -> float:
    """
    The challenge's bias: -0.30, -0.35, -0.40, -0.45 at 1024, 4096, 16384, 65536 neurons.

    Other legal sizes lie on the same line: -(0.30 + 0.025 (k - 6)) for 16 * 2^k neurons.
    """
    return -(300 + 25 * (base_bits(neurons) - 6)) / 1000


class _RadixLayers(LazyLayers):
    def __init__(
        self, neurons: int, count: int, seed: int, dtype: np.dtype[Any], bias: float
    ) -> None:
        self.inputs = self.outputs = neurons
        self.edges = neurons * FAN_IN * count
        self.dtype = dtype
        self._count, self._seed, self._bias_value = count, seed, bias
        self._bits = base_bits(neurons)
        # the same in every layer and shared by them, so nobody may write to them
        self._start = np.arange(0, neurons * FAN_IN + 1, FAN_IN, dtype=np.int64)
        self._value: Floats = np.full(neurons * FAN_IN, WEIGHT, dtype)
        self._bias = bias_vector(bias, neurons, dtype, "radixnet")
        for shared in (self._start, self._value, self._bias):
            shared.flags.writeable = False

    def __reduce__(self) -> tuple[Any, ...]:
        # What it is made of, which is little; the arrays of a copy are read-only then as well.
        made_of = self.inputs, self._count, self._seed, self.dtype, self._bias_value
        return type(self), made_of

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
        base = self.inputs // _COPIES
        kind = index_dtype(self.inputs)
        residue = np.arange(base, dtype=np.int64)
        other = (residue + (1 << ((number - 1) % self._bits))) % base
        # by residue its inputs, ascending because both residues are below base
        pair = np.stack((np.minimum(residue, other), np.maximum(residue, other)), axis=1)
        wide = pair[:, None, :] + base * np.arange(_COPIES)[:, None]
        rows: Any = wide.reshape(base, FAN_IN).astype(kind)
        if number > self._bits:
            shuffle = np.random.default_rng([self._seed, number]).permutation(self.inputs)
            rows = np.sort(shuffle.astype(kind)[rows], axis=1)
        # output j has the inputs of output j mod base
        index: Indices = np.tile(rows, (_COPIES, 1)).ravel()
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
    A RadiX-Net of `layers` layers of `neurons` neurons, each layer made when it is asked for.

    Layer l beyond k takes input perm[i] where the unpermuted one takes i, with perm =
    numpy.random.default_rng([seed, l]).permutation(neurons): any layer can be made alone. `bias` is
    the challenge's where None. ymax is the challenge's 32. InputError for sizes other than 16 * 2^k
    from 32 on, for layers < 0 or seed < 0.
    """
    for option, number in (("neurons", neurons), ("layers", layers), ("seed", seed)):
        if isinstance(number, bool) or not isinstance(number, int | np.integer):
            raise InputError(f"{option} {number!r}: it must be a whole number")
        if number < 0:
            raise InputError(f"{option} {number}: it must not be negative")
    size, count, kind = int(neurons), int(layers), float_dtype(dtype)
    base_bits(size)
    made = _RadixLayers(
        size, count, int(seed), kind, challenge_bias(size) if bias is None else bias
    )
    return Network(
        layers=made, inputs=size, name=f"radixnet-{size}x{count}-seed{seed}", source="radixnet"
    )
