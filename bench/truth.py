"""The right answer, and what the work is: one pass of the serial reference, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from bench.peer import Work
from kkspdnn.device.space import open_space
from kkspdnn.engines import make_engine
from kkspdnn.engines.exit_bounds import ExitBounds
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network
from kkspdnn.records.comparison import LayerCounts
from kkspdnn.serial_reference import categories, reference


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
    counts: dict[str, list[int]] = {
        name: [] for name in ("alive", "saturated", "undecided", "nonzeros", "products")
    }
    ends = known_ends(network)
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
        saturated, undecided = _undecided(y, ends[done + 1], network.ymax)
        counts["saturated"].append(saturated)
        counts["undecided"].append(undecided)
        tell((done + 1) / len(network.layers))
    made = LayerCounts(**{name: tuple(each) for name, each in counts.items()})
    return Truth(categories(y), made, products, living, network.edges)


def known_ends(network: Network) -> Sequence[ExitBounds]:
    """What is proved before each layer, and after the last one, by the serial space's kernels."""
    space, dtype = open_space("serial"), network.dtype
    engine = make_engine("fused", space, dtype, network.ymax)
    layers = LayerStore(network, engine, dtype)
    rows = Inputs.from_any(np.zeros((1, network.inputs), dtype))
    engine.warm_up(layers, rows)
    engine.compute_exit_bounds(layers, rows)
    return engine.ends


def _undecided(y: sp.csr_array, ends: ExitBounds, ymax: float | None) -> tuple[int, int]:
    """How many rows have every value at the upper limit, and how many none of these ends."""
    least, most = (np.asarray(each.todense()).ravel() for each in (y.min(axis=1), y.max(axis=1)))
    limit = np.inf if ymax is None else ymax
    decided = ends.dies(least, most) | ends.grows(least, most, limit)
    return int(np.count_nonzero(least == limit)), int(np.count_nonzero(~decided))
