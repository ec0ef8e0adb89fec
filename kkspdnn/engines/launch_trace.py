"""The workunits that the engines launch, and the types that they are launched with.

They are traced in the engines' warm-up on networks of each category: nothing is compiled or
started, and no table can go stale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from kkspdnn.choices import KERNELS, SpaceName
from kkspdnn.device.space import EXECUTION_SPACES, Space
from kkspdnn.engines import make_engine
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.errors import KkspdnnError
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer
from kkspdnn.model.network import Network, network
from kkspdnn.pk import IMPLEMENTATION_VARIABLE, active_implementation, provide_pykokkos
from kkspdnn.pk.codegen.emit import Generated
from kkspdnn.pk.compiler import generate
from kkspdnn.pk.dispatch import Specialization, trace_launches

_NEURONS = 32
_WIDE = np.iinfo(np.uint16).max + 33
"""Neurons whose numbers need uint32, a multiple of 32 as bits need it."""


@dataclass(frozen=True)
class _Stage(Space):
    """A space in which Kokkos is not started, as nothing is really launched."""

    def warm_up(self, launch_each: Callable[[], object]) -> None:
        launch_each()


def engine_launches(space: SpaceName, dtype: np.dtype[Any]) -> dict[str, Specialization]:
    """Every workunit of the engines by its name, as a run in this space and dtype launches it;
    one that is launched with several types, with the last of them that a layer of at most 65,536
    neurons has.

    Raises KkspdnnError as `all_launches`.
    """
    return {each[0].__name__: each for each in _launches(space, dtype, (_NEURONS,))}


def all_launches(space: SpaceName, dtype: np.dtype[Any]) -> tuple[Specialization, ...]:
    """All that runs in this space and dtype may launch, each workunit with all its types.

    Raises KkspdnnError where the real PyKokkos is in use, which the built-in compiler knows nothing
    of.
    """
    return _launches(space, dtype, (_NEURONS, _WIDE))


def all_generated(space: SpaceName, dtypes: Iterable[str]) -> list[Generated]:
    """The C++ of all that runs in this space and in these dtypes may launch, each text once.

    Raises KkspdnnError as `all_launches`.
    """
    launches = (each for dtype in dtypes for each in all_launches(space, np.dtype(dtype)))
    # Workunits without floats are the same for all dtypes.
    return list({text.text: text for text in (generate(*each) for each in launches)}.values())


def _launches(
    space: SpaceName, dtype: np.dtype[Any], sizes: tuple[int, ...]
) -> tuple[Specialization, ...]:
    """With inputs and outputs of these numbers of neurons, in every combination."""
    if active_implementation() != "builtin":
        raise KkspdnnError(
            "the real PyKokkos is in use, and keeps its C++ in ./pk_cpp; "
            f"set {IMPLEMENTATION_VARIABLE}=builtin to see the built-in compiler's"
        )
    pk = provide_pykokkos()
    stage = _Stage(
        name=space,
        implementation="builtin",
        pk=pk,
        execution_space=getattr(pk, EXECUTION_SPACES[space]),
        threads=1,
        kokkos_version="",
        compiler="",
    )

    def warm_up_all() -> None:
        for net in (net for i in sizes for o in sizes for net in _networks(i, o, dtype)):
            for kernel in KERNELS:
                engine = make_engine(kernel, stage, dtype, net.ymax)
                layers = LayerStore(net, engine, dtype)
                for inputs in _inputs(net.inputs):
                    engine.warm_up(layers, inputs)

    return trace_launches(warm_up_all)


def _networks(inputs: int, outputs: int, dtype: np.dtype[Any]) -> Iterator[Network]:
    """Networks whose layers have equal weights and a single fan-in; other weights; other fan-ins as
    well. A layer to `outputs`, and one that keeps their number: its inputs lie where the layer
    before it put them."""
    numbers = np.arange(max(inputs, outputs))
    for weights, ragged in (
        (np.ones(numbers.size), False),
        (numbers + 1, False),
        (numbers + 1, True),
    ):
        layers = []
        for rows, columns in ((inputs, outputs), (outputs, outputs)):
            edges = numbers[: columns - 1] if ragged else numbers[:columns]
            shape, entries = (rows, columns), (weights[: edges.size], (edges % rows, edges))
            matrix = sp.coo_array(entries, shape=shape).tocsr().astype(dtype)
            layers.append(Layer.from_sparse(matrix, np.full(columns, -0.25, dtype)))
        yield network(layers)


def _inputs(neurons: int) -> Iterator[Inputs]:
    """Bits, CSR and dense rows, two of each, so that one may leave."""
    bits = np.full((2, neurons // 8), 255, np.uint8)
    yield Inputs(rows=2, neurons=neurons, source="memory", bits=bits)
    ones = np.ones((2, neurons), np.float32)
    yield Inputs.from_any(sp.csr_array(ones))
    yield Inputs.from_any(ones)
