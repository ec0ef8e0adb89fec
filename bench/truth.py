"""The right answer, and what the work is: one pass of the serial reference, layer by layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.peer import Work
from kkspdnn.comparison import LayerCounts
from kkspdnn.inputs import Inputs
from kkspdnn.network import Network
from kkspdnn.reference import categories, reference


@dataclass(frozen=True, eq=False)
class Truth:
    """
    categories: int64, 1-based, by the serial reference in the network's dtype
    products, living: int64[rows], for each row the multiplications of nonzero weights with nonzero
    activations, and the edges of the layers that it enters alive
    """

    categories: NDArray[np.int64]
    layers: LayerCounts
    products: NDArray[np.int64]
    living: NDArray[np.int64]
    edges: int

    def of(self, rows: int) -> NDArray[np.int64]:
        """The categories among the first `rows` rows."""
        return self.categories[self.categories <= rows]

    def multiplied(self, work: Work, rows: int) -> int | None:
        """What an implementation with this kind of work multiplies for the first `rows` rows."""
        if work == "products":
            return int(self.products[:rows].sum())
        if work == "living":
            return int(self.living[:rows].sum())
        return rows * self.edges if work == "all" else None


def truth(network: Network, inputs: Inputs, tell: Callable[[float], None]) -> Truth:
    """Run the reference over all rows; `tell` is called with the part that is done, 0 to 1."""
    dtype = network.dtype
    y = inputs.to_csr(dtype)
    products, living = np.zeros((2, inputs.rows), np.int64)
    counts: dict[str, list[int]] = {k: [] for k in ("alive", "saturated", "nonzeros", "products")}
    for done, layer in enumerate(network.layers):
        uses = np.bincount(layer.index, minlength=layer.inputs)
        before = np.concatenate(([0], np.cumsum(uses[y.indices], dtype=np.int64)))
        here = before[y.indptr[1:]] - before[y.indptr[:-1]]
        products += here
        living += np.where(np.diff(y.indptr) > 0, layer.edges, 0)
        one = Network(layers=(layer,), inputs=layer.inputs, ymax=network.ymax)
        rows = Inputs(rows=inputs.rows, neurons=layer.inputs, source="", csr=y)
        y = reference(one, rows, dtype=dtype)
        stored = np.diff(y.indptr)
        counts["products"].append(int(here.sum()))
        counts["alive"].append(int(np.count_nonzero(stored)))
        counts["nonzeros"].append(int(y.nnz))
        counts["saturated"].append(_saturated(y.data, y.indptr, layer.outputs, network.ymax))
        tell((done + 1) / len(network.layers))
    made = LayerCounts(**{name: tuple(each) for name, each in counts.items()})
    return Truth(categories(y), made, products, living, network.edges)


def _saturated(data: NDArray[np.floating], start: NDArray, outputs: int, ymax: float | None) -> int:  # type: ignore[type-arg]
    """Rows whose every value is the upper limit."""
    if ymax is None:
        return 0
    before = np.concatenate(([0], np.cumsum(data == ymax)))
    return int(np.count_nonzero(before[start[1:]] - before[start[:-1]] == outputs))
