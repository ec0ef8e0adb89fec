"""Expected categories and edge counts: one pass of the serial reference, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from bench.peer import EdgeCounting
from kkspdnn.device.space import open_space
from kkspdnn.engines import make_engine
from kkspdnn.engines.exit_bounds import ExitBounds
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network
from kkspdnn.records.comparison import LayerCounts
from kkspdnn.serial_reference import categories, reference

OnLayer = Callable[[int, int, sp.csr_array], None]
"""Called after each layer with its position, its multiplications of two nonzeros and its
activations."""


@dataclass(frozen=True, eq=False)
class ExpectedRows:
    """The categories that every implementation must return, and the number of edges per row.

    categories: int64, 1-based, computed by the serial reference in the network's dtype
    products: int64[rows], multiplications of a nonzero weight with a nonzero activation
    active_edges: int64[rows], edges of the layers that the row enters with a nonzero value
    edges: of the network
    """

    categories: NDArray[np.int64]
    products: NDArray[np.int64]
    active_edges: NDArray[np.int64]
    edges: int

    def categories_of_first(self, rows: int) -> NDArray[np.int64]:
        """Return the categories among the first `rows` rows."""
        return self.categories[self.categories <= rows]

    def computed_edges(self, counting: EdgeCounting, rows: int) -> int | None:
        """Return the number of edges that an implementation computes for the first `rows` rows.

        None if the implementation counts its edges itself.
        """
        if counting == "products":
            return int(self.products[:rows].sum())
        if counting == "active":
            return int(self.active_edges[:rows].sum())
        return rows * self.edges if counting == "all" else None


@dataclass(frozen=True, eq=False)
class ExpectedResults(ExpectedRows):
    """Also the row counts after each layer."""

    layers: LayerCounts


def compute_expected(
    network: Network, inputs: Inputs, on_progress: Callable[[float], None]
) -> ExpectedResults:
    """Run the serial reference over all rows; `on_progress` receives the fraction done, 0 to 1."""
    counts: dict[str, list[int]] = {
        name: [] for name in ("alive", "saturated", "undecided", "nonzeros", "products")
    }
    bounds = exit_bounds(network)

    def on_layer(position: int, products: int, y: sp.csr_array) -> None:
        counts["products"].append(products)
        counts["alive"].append(int(np.count_nonzero(np.diff(y.indptr))))
        counts["nonzeros"].append(int(y.nnz))
        number = position + 1
        saturated, undecided = _count_saturated_and_undecided(y, bounds[number], network.ymax)
        counts["saturated"].append(saturated)
        counts["undecided"].append(undecided)
        on_progress(number / len(network.layers))

    rows = compute_expected_rows(network, inputs, on_layer)
    layers = LayerCounts(**{name: tuple(numbers) for name, numbers in counts.items()})
    return ExpectedResults(
        rows.categories, rows.products, rows.active_edges, rows.edges, layers=layers
    )


def compute_expected_rows(network: Network, inputs: Inputs, on_layer: OnLayer) -> ExpectedRows:
    """Run the serial reference over all rows, layer by layer."""
    dtype = network.dtype
    y = inputs.to_csr(dtype)
    products, active_edges = np.zeros((2, inputs.rows), np.int64)
    for position, layer in enumerate(network.layers):
        fan_out = np.bincount(layer.index, minlength=layer.inputs)
        before = np.concatenate(([0], np.cumsum(fan_out[y.indices], dtype=np.int64)))
        layer_products = before[y.indptr[1:]] - before[y.indptr[:-1]]
        products += layer_products
        active_edges += np.where(np.diff(y.indptr) > 0, layer.edges, 0)
        one_layer = Network(layers=(layer,), inputs=layer.inputs, ymax=network.ymax)
        rows = Inputs(rows=inputs.rows, neurons=layer.inputs, source="", csr=y)
        y = reference(one_layer, rows, dtype=dtype)
        on_layer(position, int(layer_products.sum()), y)
    return ExpectedRows(categories(y), products, active_edges, network.edges)


def exit_bounds(network: Network) -> Sequence[ExitBounds]:
    """Return the exit bounds before each layer and after the last one, from the space serial."""
    space, dtype = open_space("serial"), network.dtype
    engine = make_engine("fused", space, dtype, network.ymax)
    layers = LayerStore(network, engine, dtype)
    rows = Inputs.from_any(np.zeros((1, network.inputs), dtype))
    engine.warm_up(layers, rows)
    engine.compute_exit_bounds(layers, rows)
    return engine.exit_bounds


def _count_saturated_and_undecided(
    y: sp.csr_array, bounds: ExitBounds, ymax: float | None
) -> tuple[int, int]:
    """Count the rows whose values all equal ymax, and the rows whose final output is not proven."""
    minimum, maximum = (
        np.asarray(extremes.todense()).ravel() for extremes in (y.min(axis=1), y.max(axis=1))
    )
    limit = np.inf if ymax is None else ymax
    proven = bounds.go_to_zero(minimum, maximum) | bounds.saturate(minimum, maximum, limit)
    return int(np.count_nonzero(minimum == limit)), int(np.count_nonzero(~proven))
