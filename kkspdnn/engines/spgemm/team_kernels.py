"""The launches of the SpGEMM engine on a GPU, where a warp computes a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kkspdnn.device.double_buffer import ToDevice
from kkspdnn.device.space import Space
from kkspdnn.engines.spgemm.csr import Csr, allocate_csr
from kkspdnn.engines.spgemm.layer import SpgemmLayer
from kkspdnn.engines.spgemm.output_order import order_outputs
from kkspdnn.errors import InputError
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer
from kkspdnn.model.matrices import Floats
from kkspdnn.workunits import csr_rows, spgemm_counts, spgemm_team

WARP = 32
"""Threads of a team of SpGEMM."""

_THREADS_PER_TEAM = 64
"""There is one team of SpGEMM for this number of threads that fit onto the GPU. It is half of the
warps: more dense rows would not fit into the L1 caches, and teams of one warp are at most 32 on a
multiprocessor."""

_DENSE_BYTES = 1 << 30
"""Maximum bytes of the dense rows of all teams. A wide layer has fewer teams."""

_TEAM_ROWS = 8
"""Rows of a team of the bias and ReLU workunits: blocks of 256 threads fill a multiprocessor."""

_MAX_EDGES = 2**31 - 1024
"""Maximum number of edges of a layer: with that of a thread of a team, their offsets fit into 32
bits."""


@dataclass(frozen=True, eq=False)
class TeamWeights:
    """W as CSR, with the places of columns in the dense rows of the teams.

    start: int32, rows + 1 offsets; index: int32, places, ascending in a row; value: float32 or
    float64; position: int32, the place of each column
    longest: the largest number of entries of a row
    """

    columns: int
    longest: int
    start: Any
    index: Any
    value: Any
    position: Any

    @property
    def nbytes(self) -> int:
        arrays = (self.start, self.index, self.value, self.position)
        return sum(int(each.nbytes) for each in arrays)

    def to_device(self, copy: ToDevice) -> TeamWeights:
        """Return these weights with their arrays copied by `copy`."""
        arrays = (self.start, self.index, self.value, self.position)
        return TeamWeights(self.columns, self.longest, *(copy(each) for each in arrays))


@dataclass(frozen=True)
class TeamKernels:
    """A team of one warp computes a row, for a GPU."""

    space: Space
    zero_rows_cost: bool = False

    def pack(self, layer: Layer) -> TeamWeights:
        """Return the weights of a layer. Raises InputError for more than `_MAX_EDGES` edges."""
        if layer.edges > _MAX_EDGES:
            raise InputError(
                f"a layer of {layer.edges} edges: SpGEMM on a GPU has at most {_MAX_EDGES}; "
                "use the fused kernel"
            )
        position = np.empty(layer.outputs, np.int32)
        position[order_outputs(layer)] = np.arange(layer.outputs, dtype=np.int32)
        w = layer.weights()
        placed = sp.csr_array((w.data, position[w.indices], w.indptr), shape=w.shape)
        placed.sort_indices()
        return TeamWeights(
            columns=layer.outputs,
            longest=int(np.diff(w.indptr).max()),
            start=placed.indptr.astype(np.int32),
            index=placed.indices.astype(np.int32),
            value=placed.data,
            position=position,
        )

    def max_rows(self, inputs: Inputs, dense_rows: int) -> int:
        return dense_rows

    def fits(self, y: Csr, layer: SpgemmLayer, dense_rows: int) -> bool:
        return True

    def chunk_rows(self, inputs: Inputs) -> int:
        return max(1, inputs.rows)

    def copy_weights(
        self, inputs: Inputs, rows: int, layers: Sequence[SpgemmLayer], spare: int
    ) -> None:
        """Do nothing: there is one form."""

    def allocate(self, inputs: Inputs, rows: int) -> None:
        """Do nothing: the number of nonzeros is not known before a layer is computed."""

    def load(self, y: Csr) -> Csr:
        return y

    def forms(self, y: Csr) -> tuple[Csr]:
        return (y,)

    def select(self, y: Csr, selected: NDArray[Any]) -> Csr:
        space, numbers = self.space, self.space.to_device(selected)
        size = space.empty(selected.size, np.int64)
        policy = space.range(selected.size)
        space.pk.parallel_for(
            "count_selected",
            policy,
            csr_rows.count_selected,
            start=y.start,
            selected=numbers,
            size=size,
        )
        chosen = allocate_csr(space, y.columns, size, y.value.dtype)
        space.pk.parallel_for(
            "copy_selected",
            policy,
            csr_rows.copy_selected,
            start=y.start,
            index=y.index,
            value=y.value,
            selected=numbers,
            selected_start=chosen.start,
            selected_index=chosen.index,
            selected_value=chosen.value,
        )
        return chosen

    def regrouped(self, y: Csr) -> bool:
        return False

    def to_csr(self, y: Csr) -> Csr:
        return y

    def compute(self, y: Csr, layer: SpgemmLayer) -> tuple[Csr, int]:
        product = self._product(y, layer)
        bound, multiplications = product.symbolic()
        z = allocate_csr(self.space, layer.outputs, bound, y.value.dtype)
        size = product.numeric(z, fused=True)
        kept = allocate_csr(self.space, z.columns, size, z.value.dtype)
        self.space.pk.parallel_for(
            "copy_rows",
            self._teams(z.rows),
            spgemm_team.copy_rows_team,
            rows=z.rows,
            team_rows=_TEAM_ROWS,
            **_arrays_of_both(z, kept),
        )
        return kept, multiplications

    def multiply(self, y: Csr, layer: SpgemmLayer) -> tuple[Csr, int]:
        product = self._product(y, layer)
        size, multiplications = product.symbolic()
        z = allocate_csr(self.space, layer.outputs, size, y.value.dtype)
        product.numeric(z, fused=False)
        return z, multiplications

    def add_bias(self, z: Csr, layer: SpgemmLayer) -> None:
        self.space.pk.parallel_for(
            "add_bias",
            self._teams(z.rows),
            spgemm_team.add_bias_team,
            start=z.start,
            index=z.index,
            value=z.value,
            bias=layer.bias,
            rows=z.rows,
            team_rows=_TEAM_ROWS,
        )

    def relu(self, z: Csr, layer: SpgemmLayer) -> Csr:
        space, policy = self.space, self._teams(z.rows)
        size = space.empty(z.rows, np.int64)
        space.pk.parallel_for(
            "relu_symbolic",
            policy,
            spgemm_team.relu_symbolic_team,
            start=z.start,
            value=z.value,
            low=layer.scalars["low"],
            size=size,
            rows=z.rows,
            team_rows=_TEAM_ROWS,
        )
        y = allocate_csr(space, z.columns, size, z.value.dtype)
        space.pk.parallel_for(
            "relu_numeric",
            policy,
            spgemm_team.relu_numeric_team,
            rows=z.rows,
            team_rows=_TEAM_ROWS,
            **_arrays_of_both(z, y),
            **layer.scalars,
        )
        return y

    def row_ranges(self, y: Csr) -> tuple[Floats, Floats]:
        space, type_ = self.space, y.value.dtype.type
        smallest, largest = (space.empty(y.rows, y.value.dtype) for _ in range(2))
        space.pk.parallel_for(
            "find_csr_ranges",
            space.range(y.rows),
            csr_rows.find_csr_ranges,
            start=y.start,
            value=y.value,
            smallest=smallest,
            largest=largest,
            zero=type_(0),
            infinity=type_(np.inf),
            columns=y.columns,
        )
        return space.to_host(smallest), space.to_host(largest)

    def finite(self, y: Csr) -> bool:
        return bool(np.isfinite(y.value).all())

    def _product(self, y: Csr, layer: SpgemmLayer) -> _TeamProduct:
        space, w = self.space, layer.weights
        active = space.empty(y.rows, np.int32)
        rows = space.pk.parallel_scan(
            "list_active_rows",
            space.range(y.rows),
            spgemm_counts.list_active_rows,
            start=y.start,
            active=active,
        )
        workers = self._workers(int(rows), w)
        stamp = space.zeros(workers * w.columns, np.int32)
        return _TeamProduct(space, y, layer, active, int(rows), workers, stamp)

    def _workers(self, rows: int, w: TeamWeights) -> int:
        """Return the number of teams: each has a dense row of sums and one of stamps."""
        fit = _DENSE_BYTES // (w.columns * (4 + w.value.dtype.itemsize))
        return max(1, min(rows, int(fit), self.space.threads // _THREADS_PER_TEAM))

    def _teams(self, rows: int) -> Any:
        return self.space.row_teams(-(-rows // _TEAM_ROWS), _TEAM_ROWS, WARP)


@dataclass(frozen=True, eq=False)
class _TeamProduct:
    """The two passes of Y W.

    active: the rows of Y that have entries, the first `rows` of the array
    stamp: the dense rows of all workers, zeros
    """

    space: Space
    y: Csr
    layer: SpgemmLayer
    active: Any
    rows: int
    workers: int
    stamp: Any

    @property
    def w(self) -> TeamWeights:
        weights: TeamWeights = self.layer.weights
        return weights

    def symbolic(self) -> tuple[Any, int]:
        """Return the number of entries of each row of Z, int64, and that of multiplications."""
        space, entries = self.space, self.y.nonzeros
        stride = max(1, min(entries, space.threads))
        computed_edges = space.pk.parallel_reduce(
            "count_multiplications",
            space.range(stride),
            spgemm_counts.count_multiplications,
            yindex=self.y.index,
            wstart=self.w.start,
            entries=entries,
            stride=stride,
        )
        size = space.zeros(self.y.rows, np.int64)
        space.pk.parallel_for(
            "spgemm_symbolic",
            self._teams(),
            spgemm_team.spgemm_symbolic_team,
            size=size,
            **self._common(),
        )
        return size, int(computed_edges)

    def numeric(self, z: Csr, fused: bool) -> Any:
        """Write the columns, ascending, and the values of Z, whose offsets are known.

        fused: apply bias and ReLU; a row then begins with its nonzeros

        Returns the number of nonzeros of each row, int64, if `fused`.
        """
        space, w = self.space, self.w
        self.stamp.fill(0)
        size = space.zeros(self.y.rows, np.int64)
        space.pk.parallel_for(
            "spgemm_numeric",
            self._teams(),
            spgemm_team.spgemm_numeric_team,
            yvalue=self.y.value,
            wvalue=w.value,
            position=w.position,
            zstart=z.start,
            zindex=z.index,
            zvalue=z.value,
            accumulator=space.zeros(self.workers * w.columns, w.value.dtype),
            zero=w.value.dtype.type(0),
            bias=self.layer.bias,
            size=size,
            fused=fused,
            **self.layer.scalars,
            longest=w.longest,
            **self._common(),
        )
        return size

    def _teams(self) -> Any:
        return self.space.row_teams(self.workers, WARP, 1)

    def _common(self) -> dict[str, Any]:
        """The arguments of both passes."""
        return {
            "active": self.active,
            "ystart": self.y.start,
            "yindex": self.y.index,
            "wstart": self.w.start,
            "windex": self.w.index,
            "stamp": self.stamp,
            "rows": self.rows,
            "workers": self.workers,
            "columns": self.w.columns,
        }


def _arrays_of_both(z: Csr, y: Csr) -> dict[str, Any]:
    """Return the arrays of Z and Y as arguments of the workunits that copy rows."""
    return {
        "zstart": z.start,
        "zindex": z.index,
        "zvalue": z.value,
        "ystart": y.start,
        "yindex": y.index,
        "yvalue": y.value,
    }
