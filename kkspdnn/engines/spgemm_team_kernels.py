"""The launches of the SpGEMM engine on a GPU, where a warp computes a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kkspdnn.device.double_buffer import ToDevice
from kkspdnn.device.space import Space
from kkspdnn.engines.csr import Csr
from kkspdnn.engines.spgemm_kernels import Product, relu_arrays
from kkspdnn.errors import InputError
from kkspdnn.model.layers import Layer
from kkspdnn.workunits import spgemm_counts, spgemm_team

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


def place_columns(layer: Layer) -> NDArray[np.int32]:
    """Return the place of each output neuron in the dense rows: a permutation.

    Neurons are sorted by their first input, their last, and the sum of all. Neurons with the same
    inputs, as in a RadiX-Net or in block-pruned layers, become neighbours: a row of W then accesses
    few sectors of the cache.
    """
    index = layer.index.astype(np.int64)
    first, total = np.full((2, layer.outputs), layer.inputs, np.int64)
    last = first.copy()
    begin, end = layer.start[:-1], layer.start[1:]
    used = begin < end
    first[used], last[used] = index[begin[used]], index[end[used] - 1]
    sums = np.concatenate(([0], np.cumsum(index)))
    total[used] = (sums[end] - sums[begin])[used]
    position = np.empty(layer.outputs, np.int32)
    position[np.lexsort((total, last, first))] = np.arange(layer.outputs, dtype=np.int32)
    return position


@dataclass(frozen=True)
class TeamKernels:
    """A team of one warp computes a row, for a GPU."""

    space: Space

    def pack(self, layer: Layer) -> TeamWeights:
        """Return the weights of a layer. Raises InputError for more than `_MAX_EDGES` edges."""
        if layer.edges > _MAX_EDGES:
            raise InputError(
                f"a layer of {layer.edges} edges: SpGEMM on a GPU has at most {_MAX_EDGES}; "
                "use the fused kernel"
            )
        position = place_columns(layer)
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

    def product(self, y: Csr, w: TeamWeights) -> Product:
        space = self.space
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
        return _TeamProduct(space, y, w, active, int(rows), workers, stamp)

    def _workers(self, rows: int, w: TeamWeights) -> int:
        """Return the number of teams: each has a dense row of sums and one of stamps."""
        fit = _DENSE_BYTES // (w.columns * (4 + w.value.dtype.itemsize))
        return max(1, min(rows, int(fit), self.space.threads // _THREADS_PER_TEAM))

    def add_bias(self, z: Csr, vector: Any) -> None:
        self.space.pk.parallel_for(
            "add_bias",
            self._teams(z.rows),
            spgemm_team.add_bias_team,
            start=z.start,
            index=z.index,
            value=z.value,
            bias=vector,
            rows=z.rows,
            team_rows=_TEAM_ROWS,
        )

    def relu_symbolic(self, z: Csr, low: Any, size: Any) -> None:
        self.space.pk.parallel_for(
            "relu_symbolic",
            self._teams(z.rows),
            spgemm_team.relu_symbolic_team,
            start=z.start,
            value=z.value,
            low=low,
            size=size,
            rows=z.rows,
            team_rows=_TEAM_ROWS,
        )

    def relu_numeric(self, z: Csr, y: Csr, limits: dict[str, Any]) -> None:
        self.space.pk.parallel_for(
            "relu_numeric",
            self._teams(z.rows),
            spgemm_team.relu_numeric_team,
            rows=z.rows,
            team_rows=_TEAM_ROWS,
            **relu_arrays(z, y),
            **limits,
        )

    def _teams(self, rows: int) -> Any:
        return self.space.row_teams(-(-rows // _TEAM_ROWS), _TEAM_ROWS, WARP)


@dataclass(frozen=True, eq=False)
class _TeamProduct:
    """active: the rows of Y that have entries, the first `rows` of the array
    stamp: the dense rows of all workers, zeros"""

    space: Space
    y: Csr
    w: TeamWeights
    active: Any
    rows: int
    workers: int
    stamp: Any

    def symbolic(self) -> tuple[Any, int]:
        space, entries = self.space, int(self.y.index.size)
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

    def numeric(self, z: Csr) -> None:
        space, w = self.space, self.w
        self.stamp.fill(0)
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
            longest=w.longest,
            **self._common(),
        )

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
