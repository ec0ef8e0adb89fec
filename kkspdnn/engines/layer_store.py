"""The packed layers of a network, within a memory budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import numpy as np

from kkspdnn.device.double_buffer import DoubleBuffer, ToDevice
from kkspdnn.device.memory import Budget
from kkspdnn.device.space import Space
from kkspdnn.errors import InputError
from kkspdnn.model.layers import Layer
from kkspdnn.model.network import Network

MAX_ROWS = 2**30
"""Maximum number of rows in memory at a time: workunits have 32-bit row numbers, which must not
overflow in the last tile."""

GRANULE = 128
"""The number of rows in memory at a time is a multiple of this: two tiles, one for input rows and
one for rows that are still active."""

NodeShare = Callable[[Callable[[], list[Any]]], list[Any]]
"""Calls its argument on the first rank of a node and returns the result on all ranks of the node,
in shared memory."""


class Packer(Protocol):
    """The methods of an engine that pack layers: bring them into the form of its workunits."""

    space: Space

    def pack_layer(self, layer: Layer, previous: Any) -> Any:
        """Return a layer, which has the engine's dtype, in packed form with NumPy arrays.

        An engine may permute the outputs of a layer. The permutation depends on this layer only.

        previous: the packed layer before this one; None for the first layer
        """

    def packed_bytes(self, layer: Any) -> int:
        """Return the bytes of a packed layer."""

    def to_device(self, layer: Any, copy: ToDevice) -> Any:
        """Return a packed layer whose arrays are copied by `copy`, in a fixed order."""

    def pack_network(self, layers: Iterable[Any]) -> list[Any]:
        """Return the first packed layers of a network in the memory of the execution space.

        An engine may group consecutive layers. Layers are consumed one by one, so that few of them
        are in memory twice.
        """

    def bytes_per_row(self, widest: int) -> int:
        """Return the bytes of buffers for an input row, if layers have at most `widest` neurons."""


class LayerStore(Sequence[Any]):
    """The packed layers of a network. The first layers, as many as fit into the memory budget, are
    resident; the others are packed on each access.

    On a GPU the budget is that of its own memory. Layers that are not resident there are packed
    once if they fit into the budget of the host, and go through a double buffer: a layer is valid
    until the next access to another one.

    max_rows: number of input rows that fit into the rest of the budget, at most `MAX_ROWS`
    zeros_stay_from: a row of zeros before this layer or a later one stays a row of zeros
    """

    def __init__(
        self,
        network: Network,
        engine: Packer,
        dtype: np.dtype[Any],
        budget: Budget | None = None,
        values: bool = False,
        share: NodeShare | None = None,
    ) -> None:
        """Pack the layers that fit.

        values: whether the output values of the rows are kept in memory too
        share: on a CPU, makes the ranks of a node share one copy of the resident layers

        Raises InputError if the memory is too small for one layer and `GRANULE` rows.
        """
        self._network = network
        self._engine = engine
        self.dtype = dtype
        self._last: tuple[int, Any] = -1, None
        self._resident: list[Any] = []
        self._on_host: list[Any] = []
        self._buffers: DoubleBuffer | None = None
        memory = host = Budget() if budget is None else budget
        on_cpu = engine.space.xp is np
        if not on_cpu:
            memory = replace(host, device_memory=engine.space.device_memory)
            share = None
        self.zeros_stay_from = network.zeros_stay_from
        row = engine.bytes_per_row(self.widest)
        if values:
            # Two CSR copies of a row without zeros.
            row += 2 * self.outputs * (4 + dtype.itemsize)
        # Packing a layer needs its bytes twice, and so does a double buffer on a GPU. An edge is an
        # index of at most 4 bytes and a value.
        layer = 2 * network.edges * (4 + dtype.itemsize) // max(1, len(self))
        memory.require_share(
            layer + GRANULE * row,
            f"{GRANULE} input rows and a layer of {self.widest} neurons",
        )
        # Minus the bytes of `GRANULE` rows for each process of the node.
        node = memory if share is None else replace(memory, processes=1)
        budget_bytes = node.share() - GRANULE * row * memory.processes // node.processes

        def pack() -> list[Any]:
            return engine.pack_network(self._pack_within(0, budget_bytes))

        self._resident = pack() if share is None else share(pack)
        if not on_cpu and self.resident < len(self):
            self._on_host = list(self._pack_within(self.resident, host.share()))
            self._buffers = DoubleBuffer(engine.space.transfer(), engine.to_device)
        self.max_rows = max(1, min(memory.share() // row, MAX_ROWS) // GRANULE) * GRANULE

    @property
    def widest(self) -> int:
        """The maximum number of neurons of a layer, the inputs included."""
        return self._network.widest

    @property
    def outputs(self) -> int:
        """The number of neurons of the last layer."""
        return self._network.outputs

    @property
    def resident(self) -> int:
        """The number of layers, from the first, that are resident."""
        return len(self._resident)

    def samples(self) -> Sequence[Any]:
        """Return the resident layers and the last layer."""
        if self.resident == len(self):
            return self._resident
        last = self._engine.to_device(self._host_layer(len(self) - 1), self._engine.space.to_device)
        return [*self._resident, last]

    def prefetch(self, position: int) -> None:
        """Start to copy a layer to the GPU if it is not resident there; call before its access."""
        if self._buffers is not None and self.resident <= position < len(self):
            self._buffers.prefetch(position, partial(self._host_layer, position))

    def network_layer(self, position: int) -> Layer:
        """Return a layer of the network, not packed, in the dtype of the run."""
        try:
            return self._network.layers[position].astype(self.dtype)
        except InputError as error:
            raise InputError(str(error), layer=position + 1) from error

    def _pack_within(self, begin: int, budget_bytes: int) -> Iterator[Any]:
        """Pack layers, from the one at `begin`, as long as they fit into `budget_bytes`."""
        for position in range(begin, len(self)):
            layer = self._pack_after_previous(position)
            budget_bytes -= self._engine.packed_bytes(layer)
            if budget_bytes < 0:
                return
            yield layer

    def _pack_after_previous(self, position: int) -> Any:
        """Pack a layer. The last one is cached, because the next one is packed with it."""
        last, previous = self._last
        packed = [*self._resident, *self._on_host]
        if position == 0:
            previous = None
        elif position <= len(packed):
            previous = packed[position - 1]
        elif last != position - 1:
            previous = self._pack(position - 1, None)
        self._last = position, self._pack(position, previous)
        return self._last[1]

    def _pack(self, position: int, previous: Any) -> Any:
        layer = self.network_layer(position)
        try:
            return self._engine.pack_layer(layer, previous)
        except InputError as error:
            raise InputError(str(error), layer=position + 1) from error

    def _host_layer(self, position: int) -> Any:
        """Return a layer that is not resident, with its arrays on the host."""
        index = position - self.resident
        if index < len(self._on_host):
            return self._on_host[index]
        return self._pack_after_previous(position)

    def __len__(self) -> int:
        return len(self._network.layers)

    def __getitem__(self, position: Any) -> Any:
        if isinstance(position, slice):
            return [self[i] for i in range(*position.indices(len(self)))]
        index = range(len(self))[position]
        if index < self.resident:
            return self._resident[index]
        if self._buffers is None:
            return self._pack_after_previous(index)
        return self._buffers.get(index, partial(self._host_layer, index))

    def __iter__(self) -> Iterator[Any]:
        for position in range(len(self)):
            layer = self[position]
            self.prefetch(position + 1)
            yield layer
