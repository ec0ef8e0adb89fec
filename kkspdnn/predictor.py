"""A network that is made ready once and then called: rows in, activations out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kkspdnn.choices import EXITS, Exits
from kkspdnn.device_errors import in_one_line
from kkspdnn.engines import silent
from kkspdnn.engines.prepared import PreparedLayers
from kkspdnn.errors import check_choice
from kkspdnn.ieee import ieee_arithmetic
from kkspdnn.inputs import Inputs
from kkspdnn.matrices import Floats, float_dtype
from kkspdnn.memory import Budget
from kkspdnn.networks import Network
from kkspdnn.pk.process import ProcessLock
from kkspdnn.spaces import open_space


class Predictor:
    """
    `predict = Predictor(network)`, then `predict(rows)` as often as there are rows.

    What `infer` does once per call, for its record and its checks, is done here once in all: Kokkos
    is started, workunits are compiled, layers are brought into the form that the fused kernel
    takes, and it is proved which rows may leave early.

    space, exits, dtype, threads, device, memory: as of `infer`, and so is what is raised; memory
    that is full later, by more rows than before, raises at the call.
    """

    @in_one_line
    @ieee_arithmetic()
    def __init__(
        self,
        network: Network,
        *,
        space: str = "openmp",
        exits: Exits = "all",
        dtype: DTypeLike | None = None,
        threads: int | None = None,
        device: int | None = None,
        memory: float | None = None,
    ) -> None:
        check_choice("exits", exits, EXITS)
        kind = network.dtype if dtype is None else float_dtype(dtype)
        budget = Budget.of(memory)
        self._space = open_space(space, threads, device)
        # Its workunits, and with them PyKokkos, are loaded now.
        from kkspdnn.engines.fused import FusedEngine

        given = network.astype(kind)
        self._engine = FusedEngine(self._space, kind, given.ymax, exits)
        self._layers = PreparedLayers(given, self._engine, kind, budget, values=True)
        self._inputs = network.inputs
        self._known: set[str] = set()
        self._lock = ProcessLock()
        self._make_ready(Inputs.from_any(np.zeros((1, network.inputs), kind)))

    @in_one_line
    @ieee_arithmetic()
    def __call__(self, rows: Any) -> NDArray[np.floating]:
        """
        The activations after the last layer, a new array (rows, outputs) of `dtype`.

        rows: as `infer` takes them; a NumPy array of that dtype is neither copied nor made sparse.
        Threads of Python may call it, and take turns. InputError for rows that the network does
        not take, for values that are not finite, and where activations overflow; SpaceError in a
        process that was forked after Kokkos was started.
        """
        self._space.begin()
        given = Inputs.from_any(rows)
        given.check_neurons(self._inputs)
        with self._lock:
            self._make_ready(given)
            into = self._space.zeros((given.rows, self._layers.outputs), self._engine.dtype)
            for _ in self._engine.run(self._layers, given, None, silent, into):
                pass
            found: Floats = self._space.get(into)
            return found

    def _make_ready(self, inputs: Inputs) -> None:
        """Compile, and prove which rows leave, for rows that come as these do."""
        form = "bits" if inputs.bits is not None else "csr" if inputs.csr is not None else "dense"
        if form not in self._known and inputs.rows:
            self._engine.warm_up(self._layers, inputs)
            self._engine.prove(self._layers, inputs)
            self._known.add(form)
