"""Loading of input rows into tiles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kkspdnn.device.block_transfer import BlockTransfer
from kkspdnn.engines.fused.dense_rows import split_lines
from kkspdnn.engines.fused.tile_shape import TileShape
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Indices
from kkspdnn.model.matrices import Floats
from kkspdnn.workunits import tiles

_BLOCK_BYTES = 4 << 20
"""Bytes of input rows that a GPU receives at a time. The host writes a block into pinned memory in
about 0.4 ms, so that its launch and its copy take little of the host's time, and the input rows of
a small network are several blocks."""


class RowLoader:
    """Loads input rows into tiles: bits, dense rows or CSR.

    A GPU receives bits and dense rows in blocks, and unpacks one while it receives the next one;
    dense rows that are there already are unpacked at once.
    """

    def __init__(self, shape: TileShape) -> None:
        self._shape = shape
        self._zero = shape.dtype.type(0)
        self._on_host = shape.space.xp is np
        self._transposed: Any = None
        self._transfer: BlockTransfer | None = None

    def allocate(self, inputs: Inputs, rows: int) -> None:
        """Allocate the memory for the blocks of such inputs, of which at most `rows` rows are
        loaded at a time. Does nothing on a CPU, nor for CSR and for rows on the GPU."""
        array = inputs.dense if inputs.bits is None else inputs.bits
        if not self._on_host and isinstance(array, np.ndarray):
            row_bytes = inputs.neurons * self._shape.dtype.itemsize
            if inputs.bits is not None:
                row_bytes = inputs.bits.shape[1]
            rows = min(rows, inputs.rows, self._block_rows(row_bytes))
            self._block_transfer().allocate(rows * row_bytes)

    def load(self, inputs: Inputs, permutation: Indices, y: Any) -> None:
        """Load input rows, at least one, into the first buffer of the tiles `y`.

        permutation: index of each neuron in a tile
        """
        if inputs.bits is not None:
            self._load_bits(inputs.bits, inputs.neurons, permutation, y)
        elif inputs.dense is not None:
            self._load_dense(inputs.to_dense(self._shape.dtype), permutation, y)
        else:
            self._load_csr(inputs.to_csr(self._shape.dtype), permutation, y)

    def _load_bits(
        self, bits: NDArray[np.uint8], neurons: int, permutation: Indices, y: Any
    ) -> None:
        shape, (rows, row_bytes) = self._shape, bits.shape
        if not self._on_host:
            # Each block overwrites that of the block before it.
            rows = min(rows, self._block_rows(row_bytes))
        count = shape.tile_count(rows)
        if self._transposed is None or self._transposed.shape[0] < count:
            self._transposed = shape.space.empty((count, row_bytes, shape.lanes), np.uint8)
        copied = shape.space.to_device(permutation)
        for block, tiles_of_block in self._blocks(bits, y):
            shape.space.pk.parallel_for(
                "unpack_bits",
                shape.space.teams(shape.tile_count(block.shape[0])),
                tiles.unpack_bits,
                bits=block,
                permutation=copied,
                transposed=self._transposed,
                y=tiles_of_block,
                rows=block.shape[0],
                neurons=neurons,
                row_bytes=row_bytes,
                lanes=shape.lanes,
            )

    def _load_dense(self, dense: Floats, permutation: Indices, y: Any) -> None:
        shape = self._shape
        copied = shape.space.to_device(permutation)
        blocks, width = split_lines(dense.shape[1], 1)
        for block, tiles_of_block in self._blocks(dense, y):
            shape.space.pk.parallel_for(
                "unpack_dense",
                shape.space.teams(shape.tile_count(block.shape[0])),
                tiles.unpack_dense,
                x=block,
                permutation=copied,
                y=tiles_of_block,
                zero=self._zero,
                rows=block.shape[0],
                neurons=dense.shape[1],
                blocks=blocks,
                width=width,
                lanes=shape.lanes,
            )

    def _load_csr(self, csr: sp.csr_array, permutation: Indices, y: Any) -> None:
        space = self._shape.space
        y[:, : csr.shape[1]].fill(0)
        space.pk.parallel_for(
            "unpack_csr",
            space.range(csr.shape[0]),
            tiles.unpack_csr,
            start=space.to_device(csr.indptr.astype(np.int64)),
            index=space.to_device(permutation[csr.indices].astype(np.uint32)),
            value=space.to_device(csr.data),
            y=y,
            lanes=self._shape.lanes,
        )

    def _blocks(self, array: NDArray[Any], y: Any) -> Iterator[tuple[Any, Any]]:
        """Yield blocks of the rows of a dense array in the memory of the space, each with its
        tiles of `y`. A block is valid until the next one. Without a copy to a GPU there is one."""
        if self._on_host or not isinstance(array, np.ndarray):
            yield self._shape.space.to_device(array), y
            return
        rows = self._block_rows(array.shape[1] * array.itemsize)
        for first, block in self._block_transfer().send(array, rows):
            begin = first // self._shape.lanes
            yield block, y[begin : begin + self._shape.tile_count(block.shape[0])]

    def _block_rows(self, row_bytes: int) -> int:
        """Return the rows of a block: those of full tiles, of about _BLOCK_BYTES."""
        lanes = self._shape.lanes
        return lanes * max(1, _BLOCK_BYTES // (lanes * row_bytes))

    def _block_transfer(self) -> BlockTransfer:
        if self._transfer is None:
            self._transfer = BlockTransfer(self._shape.space.transfer())
        return self._transfer
