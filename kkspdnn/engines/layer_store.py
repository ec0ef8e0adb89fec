"""The layers of a network as an engine takes them, within a budget of memory."""

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

MOST_ROWS = 2**30
"""Rows that go through a network together, at most: workunits number them in 32 bits, and count a
tile more."""

Share = Callable[[Callable[[], list[Any]]], list[Any]]
"""Calls its argument on the first rank of a node, and returns the result to all of its ranks."""

GRANULE = 128
"""Rows that go through a network together come in multiples of this: two tiles, one for rows that
go in and one for those that are left of them."""


class Packer(Protocol):
    """The methods of an engine that turn a layer of a network into what its workunits take."""

    space: Space

    def prepare(self, layer: Layer, before: Any) -> Any:
        """A layer, in the engine's dtype, as its workunits take it, with NumPy's arrays; before:
        the prepared layer before it, or None. An engine may put its outputs into another order,
        which depends on no earlier layer."""

    def size(self, layer: Any) -> int:
        """Bytes of a prepared layer."""

    def to_device(self, layer: Any, copy: ToDevice) -> Any:
        """A prepared layer with its arrays copied by `copy`, in the same order each time."""

    def arrange(self, layers: Iterable[Any]) -> list[Any]:
        """The first prepared layers of a network, in order, as they lie best together in memory,
        where the workunits run.

        They are taken one by one, and few of them are held both ways at once.
        """

    def bytes_per_row(self, widest: int) -> int:
        """Memory for one input row where no layer has more neurons than `widest`."""


class LayerStore(Sequence[Any]):
    """The prepared layers of a network: the first ones held, as many as fit into their share of the
    memory, the others made on each use.

    On a GPU that is its own memory. Of the others there, those are kept on the host that fit into
    their share of the host's memory, and all go through two buffers: a layer may be launched until
    one with another number is asked for.

    rows: how many input rows fit into the share of what is then left, at most `MOST_ROWS`
    zeros_stay_from: the first layer from which on a row of zeros stays one
    share: on a CPU, gives all ranks of a node the one copy of the layers that its argument makes
    Raises InputError where memory is too small for a layer and `GRANULE` rows.
    """

    def __init__(
        self,
        network: Network,
        engine: Packer,
        dtype: np.dtype[Any],
        budget: Budget | None = None,
        values: bool = False,
        share: Share | None = None,
    ) -> None:
        self._network = network
        self._engine = engine
        self.dtype = dtype
        self._last: tuple[int, Any] = -1, None
        self._held: list[Any] = []
        self._kept: list[Any] = []
        self._buffers: DoubleBuffer | None = None
        memory = host = Budget() if budget is None else budget
        on_host = engine.space.xp is np
        if not on_host:
            memory = replace(host, device_memory=engine.space.device_memory)
            share = None
        self.zeros_stay_from = network.zeros_stay_from
        row = engine.bytes_per_row(self.widest)
        if values:
            # Two CSR copies of a row without zeros.
            row += 2 * self.outputs * (4 + dtype.itemsize)
        # Making a layer takes what it takes again, and two buffers on a GPU take twice as much: an
        # index of at most 4 bytes and a value an edge.
        layer = 2 * network.edges * (4 + dtype.itemsize) // max(1, len(self))
        memory.require_share(
            layer + GRANULE * row,
            f"{GRANULE} input rows and a layer of {self.widest} neurons",
        )
        # So much less that the rows' share of what is left is enough for them.
        whole = memory if share is None else replace(memory, processes=1)
        room = whole.share() - GRANULE * row * memory.processes // whole.processes

        def hold() -> list[Any]:
            return engine.arrange(self._fitting(0, room))

        self._held = hold() if share is None else share(hold)
        if not on_host and self.held < len(self):
            self._kept = list(self._fitting(self.held, host.share()))
            self._buffers = DoubleBuffer(engine.space.transfer(), engine.to_device)
        self.rows = max(1, min(memory.share() // row, MOST_ROWS) // GRANULE) * GRANULE

    @property
    def widest(self) -> int:
        """The most neurons of any layer, the input rows' too."""
        return self._network.widest

    @property
    def outputs(self) -> int:
        """Neurons after the last layer."""
        return self._network.outputs

    @property
    def held(self) -> int:
        """How many layers, from the first, are held."""
        return len(self._held)

    def sample(self) -> Sequence[Any]:
        """The layers that are held, and the last one."""
        if self.held == len(self):
            return self._held
        last = self._engine.to_device(self._on_host(len(self) - 1), self._engine.space.to_device)
        return [*self._held, last]

    def prefetch(self, position: int) -> None:
        """Begin to bring the layer that is used next to the GPU, where it has no room for all."""
        if self._buffers is not None and self.held <= position < len(self):
            self._buffers.prefetch(position, partial(self._on_host, position))

    def _fitting(self, begin: int, room: int) -> Iterator[Any]:
        """Layers from `begin` on that fit into so many bytes together."""
        for position in range(begin, len(self)):
            layer = self._make(position)
            room -= self._engine.size(layer)
            if room < 0:
                return
            yield layer

    def given(self, position: int) -> Layer:
        """A layer as the network has it, in the dtype of the run."""
        try:
            return self._network.layers[position].astype(self.dtype)
        except InputError as error:
            raise InputError(str(error), layer=position + 1) from error

    def _make(self, position: int) -> Any:
        """A prepared layer; the last one is remembered, because the next one is made with it."""
        last, before = self._last
        ready = [*self._held, *self._kept]
        if position == 0:
            before = None
        elif position <= len(ready):
            before = ready[position - 1]
        elif last != position - 1:
            before = self._prepare(position - 1, None)
        self._last = position, self._prepare(position, before)
        return self._last[1]

    def _on_host(self, position: int) -> Any:
        """A layer that is not held, with its arrays on the host."""
        place = position - self.held
        return self._kept[place] if place < len(self._kept) else self._make(position)

    def _prepare(self, position: int, before: Any) -> Any:
        layer = self.given(position)
        try:
            return self._engine.prepare(layer, before)
        except InputError as error:
            raise InputError(str(error), layer=position + 1) from error

    def __len__(self) -> int:
        return len(self._network.layers)

    def __getitem__(self, position: Any) -> Any:
        if isinstance(position, slice):
            return [self[i] for i in range(*position.indices(len(self)))]
        place = range(len(self))[position]
        if place < self.held:
            return self._held[place]
        if self._buffers is None:
            return self._make(place)
        return self._buffers.get(place, partial(self._on_host, place))

    def __iter__(self) -> Iterator[Any]:
        for position in range(len(self)):
            layer = self[position]
            self.prefetch(position + 1)
            yield layer
