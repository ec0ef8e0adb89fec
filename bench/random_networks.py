"""Random networks for the benchmark of SpGEMM, whose activations keep their density and size.

Each output neuron has the same number of distinct, uniformly random inputs. All layers share one
random matrix, whose columns are rotated by another random offset in each layer, so a layer of
65,536 neurons with 512 edges each is made fast, and a network of any depth needs little memory.

The magnitudes of the weights are uniform in [0.5, 1.5), times one scale for each layer. At a
density of 100 % all weights are positive. Below it some are negative, so that only slightly more
sums are above zero than activations shall be nonzero. With positive weights alone, a row with
slightly more nonzeros than others would have far more of them after each layer: after four layers
of 512 edges, a tenth of the rows would be dense and the others zero, instead of a tenth of the
activations of each row.

Activations are those of the challenge: the bias is added to nonzero sums, ymax is 32. The bias of a
layer, the same for all neurons, comes from the sums of a sample of rows: the share `density` of the
activations stays above zero. The scale makes the mean nonzero activation 1. At 100 % the bias is 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike

from bench.distinct_indices import distinct_indices
from kkspdnn.model.layers import Layer, LazyLayers
from kkspdnn.model.matrices import Floats, float_dtype
from kkspdnn.model.network import Network

_YMAX = 32.0
_ABOVE_ZERO = 1.25
"""The share of sums above 0 before the bias, over the density."""
_NEIGHBOURHOOD = 0.01
"""The share of the kept activations by which the bias may miss the density, to be far from any
sum: a sum next to the bias would be above zero or not, depending on the order of additions."""


@dataclass(frozen=True)
class LayerScaling:
    """What distinguishes a layer from the shared matrix.

    offset: output j has the edges of column (j - offset) mod neurons
    scale: of the weights
    bias: of all neurons, not above 0
    """

    offset: int
    scale: float
    bias: float


class _RandomLayers(LazyLayers):
    """The layers of a random network, made from the shared matrix on access."""

    def __init__(self, shared: Layer, scalings: Sequence[LayerScaling]) -> None:
        self.inputs = self.outputs = shared.inputs
        self.edges = shared.edges * len(scalings)
        self.dtype = shared.dtype
        self._shared, self._scalings = shared, tuple(scalings)

    def __len__(self) -> int:
        return len(self._scalings)

    def make(self, position: int) -> Layer:
        scaling, neurons = self._scalings[position], self.inputs
        rotated: Any = np.roll(self._shared.index.reshape(neurons, -1), scaling.offset, axis=0)
        value: Any = np.roll(self._shared.value.reshape(neurons, -1), scaling.offset, axis=0)
        value *= self.dtype.type(scaling.scale)
        bias = np.full(neurons, scaling.bias, self.dtype)
        return replace(self._shared, index=rotated.ravel(), value=value.ravel(), bias=bias)

    def astype(self, dtype: DTypeLike) -> _RandomLayers:
        return _RandomLayers(self._shared.astype(float_dtype(dtype)), self._scalings)


def random_network(
    neurons: int, edges: int, density: float, layers: int, sample: sp.csr_array, seed: int
) -> Network:
    """Return a random network in float32.

    edges: of each output neuron
    density: the share of nonzero activations, above 0 and at most 1
    sample: input rows of this density, float32, from which scales and biases are computed
    """
    rng = np.random.default_rng([seed, neurons, edges])
    shared = _shared_matrix(rng, neurons, edges, negative_share(edges, density))
    offsets = map(int, rng.integers(0, neurons, layers))
    scalings = _scale_layers(shared.weights(), offsets, density, sample)
    return Network(
        layers=_RandomLayers(shared, scalings),
        inputs=neurons,
        ymax=_YMAX,
        name=f"random-{neurons}x{layers}-edges{edges}-density{100 * density:g}-seed{seed}",
        source="memory",
    )


def _shared_matrix(
    rng: np.random.Generator, neurons: int, edges: int, negative_share: float
) -> Layer:
    index = distinct_indices(rng, neurons, edges, neurons).ravel()
    value = rng.random(index.size, np.float32)
    value += np.float32(0.5)
    np.negative(value, out=value, where=rng.random(index.size, np.float32) < negative_share)
    start = np.arange(0, index.size + 1, edges, dtype=np.int64)
    return Layer(neurons, neurons, start, index, value, np.zeros(neurons, np.float32))


def negative_share(edges: int, density: float) -> float:
    """Return the share of negative weights at which the share of sums above 0 is _ABOVE_ZERO times
    `density`, or less if too few sums are not 0. At density 1 the share is 0."""
    if density >= 1:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        if _positive_share(edges, density, middle) < min(1.0, _ABOVE_ZERO * density):
            high = middle
        else:
            low = middle
    return low


def _positive_share(edges: int, density: float, negative: float) -> float:
    """Return the share of sums above 0, for weights and activations of magnitude 1.

    A sum of as many positive as negative terms counts half, a sum without terms not at all.
    """
    term = np.zeros(2 * edges + 1)
    term[[0, 1, -1]] = 1 - density, density * (1 - negative), density * negative
    sums = np.fft.irfft(np.fft.rfft(term) ** edges, term.size)
    return float(sums[1 : edges + 1].sum() + (sums[0] - (1 - density) ** edges) / 2)


def _scale_layers(
    weights: sp.csr_array, offsets: Iterable[int], density: float, sample: sp.csr_array
) -> list[LayerScaling]:
    """Return the scale and bias of each layer, from the sample's sums in the layers before."""
    scalings, y = [], sample
    for offset in offsets:
        z = sp.csr_array(y @ weights)
        threshold = find_threshold(z.data, round(density * z.shape[0] * z.shape[1]))
        above = z.data[z.data > threshold] - threshold
        scale = 1 / float(above.mean()) if above.size else 1.0
        scalings.append(LayerScaling(offset, scale, -threshold * scale))
        activations = np.clip((z.data - threshold) * scale, 0, _YMAX).astype(np.float32)
        columns = (z.indices + offset) % z.shape[1]
        y = sp.csr_array((activations, columns.astype(z.indices.dtype), z.indptr), shape=z.shape)
        y.eliminate_zeros()
        y.sort_indices()
    return scalings


def find_threshold(sums: Floats, kept: int) -> float:
    """Return a number, at least 0, above which there are about `kept` of the sums.

    It is in the middle of the widest gap between sums near that rank.
    """
    positive = sums[sums > 0]
    if kept >= positive.size:
        return 0.0
    rank, margin = positive.size - kept, round(_NEIGHBOURHOOD * kept) + 1
    low, high = max(0, rank - margin), min(positive.size - 1, rank + margin)
    near = np.sort(np.partition(positive, (low, high))[low : high + 1])
    if near.size < 2:
        return 0.0
    widest = int(np.argmax(np.diff(near)))
    return (float(near[widest]) + float(near[widest + 1])) / 2
