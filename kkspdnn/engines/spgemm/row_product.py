"""The product of activations by rows with the weights of a layer, on a CPU."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.device.aligned import aligned_empty
from kkspdnn.device.space import Space
from kkspdnn.engines.spgemm.column_product import WeightsByInput, share_work
from kkspdnn.engines.spgemm.csr import Csr
from kkspdnn.engines.spgemm.kept_arrays import KeptArrays
from kkspdnn.engines.spgemm.layer import SpgemmLayer
from kkspdnn.workunits import spgemm_rows


@dataclass(eq=False)
class RowProduct:
    """Computes products with bias and ReLU, in memory that is kept from layer to layer."""

    space: Space
    dtype: np.dtype[Any]
    _work_rows: Any = None
    _entries: KeptArrays = field(default_factory=KeptArrays)

    def compute(
        self,
        y: Csr,
        layer: SpgemmLayer,
        by_input: WeightsByInput,
        bias: Any,
        limits: dict[str, Any],
    ) -> tuple[Csr, NDArray[Any], int]:
        """Return min(max(Y W + bias, low), ymax) and the number of multiplications.

        limits: `low` and `ymax`

        The result is a matrix with an empty row after the rows of each team, and the numbers of its
        other rows. It is valid until the next product.
        """
        weights, teams = layer.weights, self.space.threads
        degrees = weights.out_degree[y.index]
        products = np.add.reduceat(np.append(degrees, 0), y.start[:-1])
        products[np.diff(y.start) == 0] = 0
        first_row = share_work(products, teams)
        most = np.append(0, np.cumsum(np.minimum(products, layer.outputs)))
        first_entry = most[first_row]
        size = (int(most[-1]),)
        z = Csr(
            columns=layer.outputs,
            start=np.empty(y.rows + teams, np.int64),
            index=self._entries.take("index", size, np.uint32),
            value=self._entries.take("value", size, self.dtype),
        )
        accumulator, activated = self._allocate_work_rows(layer.outputs)
        self.space.pk.parallel_for(
            "multiply_rows",
            self.space.row_teams(teams, 1, 1),
            spgemm_rows.multiply_rows,
            ystart=y.start,
            yindex=y.index,
            yvalue=y.value,
            wstart=by_input.start,
            windex=by_input.index,
            wvalue=by_input.value,
            bias=bias,
            zstart=z.start,
            zindex=z.index,
            zvalue=z.value,
            first_row=first_row,
            first_entry=first_entry,
            accumulator=accumulator,
            activated=activated,
            zero=self.dtype.type(0),
            outputs=layer.outputs,
            **limits,
        )
        team = np.repeat(np.arange(teams), np.diff(first_row))
        return z, np.arange(y.rows) + team, int(products.sum())

    def _allocate_work_rows(self, outputs: int) -> Any:
        """Return two work rows of each team, those of the last call if they fit. The first of them
        are zero."""
        if self._work_rows is None or self._work_rows.shape[2] < outputs:
            # Each row begins at a cache line.
            width = -(-outputs // 16) * 16
            self._work_rows = aligned_empty((2, self.space.threads, width), self.dtype)
            self._work_rows.fill(0)
        return self._work_rows
