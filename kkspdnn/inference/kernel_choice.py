"""The choice of the kernel: by the density of the activations.

SpGEMM multiplies the nonzero activations only, the fused kernel all activations of the active rows
but with less time for each. So SpGEMM is faster if few activations are nonzero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kkspdnn.choices import Kernel
from kkspdnn.device.space import Space
from kkspdnn.errors import InputError
from kkspdnn.inference.request import Request
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network
from kkspdnn.serial_reference import compute_layer
from kkspdnn.verify import evenly_spaced

CROSSOVER = 0.03
"""The density of activations below which SpGEMM is faster than the fused kernel, for many rows."""

FEW_ROWS = 128
"""The number of input rows for which this density is half of `CROSSOVER`: SpGEMM visits each edge
once for a batch of rows."""

_SAMPLE_ROWS = 256
"""The maximum number of rows for which the density is measured."""

_SAMPLE_LAYERS = 4
"""The maximum number of layers for which the density is measured."""

_LAYER_EDGES = 50_000_000
"""The maximum product of sample rows and edges of a layer, unless one row has more."""


@dataclass(frozen=True)
class KernelChoice:
    """The kernel of a run.

    automatic: whether it was chosen for `--kernel auto`
    density: of the activations; None if it was not measured
    """

    name: Kernel
    automatic: bool = False
    density: float | None = None


def choose_kernel(request: Request, space: Space, network: Network) -> KernelChoice:
    """Return the kernel of a run, the same on all ranks. Collective.

    SpGEMM is chosen on a CPU if no layer maps zeros to nonzeros, which SpGEMM does not store, and
    the density is below `crossover(rows)`.

    network: after neuron merging
    """
    if request.kernel != "auto":
        return KernelChoice(request.kernel)
    if space.gpu or network.zeros_stay_from > 0:
        return KernelChoice("fused", automatic=True)
    request.on_progress("choosing the kernel", 0.0)
    ranks = request.ranks
    choice = ranks.run_collectively(
        lambda: _choose_by_density(network, request.inputs) if ranks.rank == 0 else None
    )
    return ranks.broadcast(choice)


def _choose_by_density(network: Network, inputs: Inputs) -> KernelChoice:
    try:
        density = activation_density(network, inputs)
    except InputError:
        # The run reports the error, with the number of the row.
        density = None
    sparse = density is not None and density < crossover(inputs.rows)
    return KernelChoice("spgemm" if sparse else "fused", automatic=True, density=density)


def crossover(rows: int) -> float:
    """Return the density of activations below which SpGEMM is faster, for so many input rows."""
    return CROSSOVER * rows / (rows + FEW_ROWS)


def activation_density(network: Network, inputs: Inputs) -> float | None:
    """Return the density of the activations of a sample of the rows: the multiplications of SpGEMM
    in the first layers, divided by the edges of these layers times the active rows.

    The activations are computed as in the serial reference. None if there is no layer or if all
    rows of the sample are zeros. Raises InputError if activations overflow.
    """
    y = inputs.select_rows(evenly_spaced(inputs.rows, _SAMPLE_ROWS)).to_csr(network.dtype)
    multiplications = edges = 0
    depth = min(_SAMPLE_LAYERS, len(network.layers))
    for position in range(depth):
        layer = network.layers[position]
        active = np.flatnonzero(np.diff(y.indptr))
        y = y[active[evenly_spaced(active.size, max(1, _LAYER_EDGES // max(1, layer.edges)))]]
        weights = layer.weights()
        out_degree = np.diff(weights.indptr).astype(np.int64)
        multiplications += int(out_degree[y.indices].sum())
        edges += layer.edges * int(y.shape[0])
        if position + 1 < depth:
            y = compute_layer(y, weights, layer, network.ymax, position + 1)
    return multiplications / edges if edges else None
