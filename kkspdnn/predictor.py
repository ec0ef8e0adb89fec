"""A network that is made ready once and then called: rows in, activations out."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike, NDArray

from kkspdnn.choices import EXITS, Exits
from kkspdnn.device.errors import translate_cupy_errors
from kkspdnn.device.memory import Budget
from kkspdnn.device.space import open_space
from kkspdnn.engines import no_progress
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.errors import check_choice
from kkspdnn.model.ieee import ieee_arithmetic
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.matrices import Floats, float_dtype
from kkspdnn.model.network import Network, check_network
from kkspdnn.pk.system.fork import ProcessLock

Form = Literal["bits", "csr", "dense"]
"""How input rows come."""


class Predictor:
    """
    `predict = Predictor(network)`, then `predict(rows)` as often as there are rows.

    What `infer` does once per call, for its record and its checks, is done here once in all: Kokkos
    is started, workunits are compiled, layers are brought into the form that the fused kernel
    takes, and it is proved which rows may leave early.

    space, exits, dtype, threads, device, memory: as of `infer`, and so is what is raised; memory
    that is full later, by more rows than before, raises at the call.

    It can be copied and pickled, as for the processes of a pool: a copy is made ready anew, where
    it is loaded, from the network and the same options.
    """

    @translate_cupy_errors
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
        check_network(network)
        check_choice("exits", exits, EXITS)
        kind = network.dtype if dtype is None else float_dtype(dtype)
        budget = Budget.from_gigabytes(memory)
        self._space = open_space(space, threads, device)
        # Its workunits, and with them PyKokkos, are loaded now.
        from kkspdnn.engines.fused.engine import FusedEngine

        self._network = given = network.astype(kind)
        self._options: dict[str, Any] = {
            "space": space,
            "exits": exits,
            "dtype": kind,
            "threads": threads,
            "device": device,
            "memory": memory,
        }
        self._engine = FusedEngine(self._space, kind, given.ymax, exits)
        self._layers = LayerStore(given, self._engine, kind, budget, values=True)
        self._known: set[Form] = set()
        self._lock = ProcessLock()
        self._make_ready(_zeros("dense", network.inputs))

    @translate_cupy_errors
    @ieee_arithmetic()
    def __call__(self, rows: Any) -> NDArray[np.floating]:
        """
        The activations after the last layer, a new array (rows, outputs) of `dtype`.

        rows: as `infer` takes them; a NumPy array of that dtype is neither copied nor made sparse.
        Threads of Python may call it, and take turns. InputError for rows that the network does
        not take, for values that are not finite, and where activations overflow; SpaceError in a
        process that was forked after Kokkos was started.
        """
        self._space.prepare_thread()
        given = Inputs.from_any(rows)
        given.check_neurons(self._network.inputs)
        with self._lock:
            self._make_ready(given)
            into = self._space.zeros((given.rows, self._layers.outputs), self._engine.dtype)
            for _ in self._engine.run(self._layers, given, None, no_progress, into):
                pass
            found: Floats = self._space.to_host(into)
            return found

    def _make_ready(self, inputs: Inputs) -> None:
        """Compile, and compute_exit_bounds which rows leave, for rows that come as these do."""
        form: Form = "dense"
        if inputs.dense is None:
            form = "csr" if inputs.bits is None else "bits"
        if form not in self._known and inputs.rows:
            self._engine.warm_up(self._layers, inputs)
            self._engine.compute_exit_bounds(self._layers, inputs)
            self._known.add(form)

    def __reduce__(self) -> tuple[Any, ...]:
        # What is ready belongs to this process: threads, a GPU's memory, compiled code.
        with self._lock:
            forms = tuple(sorted(self._known))
        return _made_again, (type(self), self._network, self._options, forms)


P = TypeVar("P", bound=Predictor)


def _made_again(
    kind: type[P], network: Network, options: dict[str, Any], forms: tuple[Form, ...]
) -> P:
    """A Predictor of these options, ready for rows that come in these forms."""
    made = kind(network, **options)
    for form in forms:
        made._make_ready(_zeros(form, network.inputs))
    return made


def _zeros(form: Form, neurons: int) -> Inputs:
    """An input row of zeros."""
    if form == "bits":
        bits = np.zeros((1, -(-neurons // 8)), np.uint8)
        return Inputs(rows=1, neurons=neurons, source="memory", bits=bits)
    zeros = np.zeros((1, neurons), np.float32)
    return Inputs.from_any(zeros if form == "dense" else sp.csr_array(zeros))
