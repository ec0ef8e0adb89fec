"""The launch trace: the workunits that the engines launch, with the types of their arguments.

The trace records the warm-up of the engines on small networks of all kinds. Nothing is compiled and
Kokkos is not started.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import scipy.sparse as sp

from kkspdnn.choices import EPILOGUES, KERNELS, SpaceName
from kkspdnn.device.launch_parameters import LaunchParameters
from kkspdnn.device.space import EXECUTION_SPACES, Space
from kkspdnn.engines import make_engine
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer
from kkspdnn.model.network import Network, network
from kkspdnn.pk import language
from kkspdnn.pk.codegen.emit import Generated
from kkspdnn.pk.compiler import generate
from kkspdnn.pk.dispatch import Specialization, trace_launches
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.system.debug_mode import debug_mode

_NEURONS = 32
_WIDE = np.iinfo(np.uint16).max + 33
"""A number of neurons that requires uint32 indices, and a multiple of 32."""


@dataclass(frozen=True)
class _TracedSpace(Space):
    """A space without Kokkos: launches are recorded and not executed."""

    def warm_up(self, launch_each: Callable[[], object]) -> None:
        launch_each()


def engine_launches(space: SpaceName, dtype: np.dtype[Any]) -> dict[str, Specialization]:
    """Return one launch of each workunit in this space and dtype, by the name of the workunit.

    The layers have at most 65,536 neurons. If a workunit is launched with several types, the last
    launch is returned.
    """
    return {each[0].__name__: each for each in _launches(space, dtype, (_NEURONS,))}


def all_launches(space: SpaceName, dtype: np.dtype[Any]) -> tuple[Specialization, ...]:
    """Return all launches that runs in this space and dtype can make: each workunit with all of
    its types."""
    return _launches(space, dtype, (_NEURONS, _WIDE))


def all_generated(space: SpaceName, dtypes: Iterable[str]) -> list[Generated]:
    """Return the generated C++ of `all_launches` for these dtypes, without duplicates."""
    launches = (each for dtype in dtypes for each in all_launches(space, np.dtype(dtype)))
    # Workunits without floats are the same for all dtypes.
    texts = (generate(*each, debug=debug_mode()) for each in launches)
    return list({text.text: text for text in texts}.values())


def _launches(
    space: SpaceName, dtype: np.dtype[Any], sizes: tuple[int, ...]
) -> tuple[Specialization, ...]:
    """Return the launches for layers of these numbers of inputs and outputs."""
    traced = _TracedSpace(
        name=space,
        implementation="builtin",
        pk=language,
        execution_space=ExecutionSpace[EXECUTION_SPACES[space]],
        threads=1,
        kokkos_version="",
        compiler="",
        launch=replace(LaunchParameters.default(space), group_outputs="distinct"),
    )

    def warm_up_all() -> None:
        for net in (net for i in sizes for o in sizes for net in _networks(i, o, dtype)):
            for kernel, epilogue in product(KERNELS, EPILOGUES):
                engine = make_engine(kernel, traced, dtype, net.ymax, epilogue=epilogue)
                layers = LayerStore(net, engine, dtype)
                for inputs in _inputs(net.inputs):
                    engine.warm_up(layers, inputs)
            if not traced.gpu:
                _warm_up_dense(traced, net, dtype)

    return trace_launches(warm_up_all)


def _warm_up_dense(space: Space, net: Network, dtype: np.dtype[Any]) -> None:
    """Make the launches of a `Predictor` over dense rows on a CPU."""
    # These imports load the workunits, and with them PyKokkos.
    from kkspdnn.engines.fused.dense_run import DenseRun
    from kkspdnn.engines.fused.engine import FusedEngine
    from kkspdnn.engines.fused.few_rows import FewRows

    engine = FusedEngine(space, dtype, net.ymax, "none")
    DenseRun(engine.kernels, LayerStore(net, engine, dtype)).warm_up()
    FewRows(space, net.layers, engine.ymax).warm_up()


def _networks(inputs: int, outputs: int, dtype: np.dtype[Any]) -> Iterator[Network]:
    """Yield a network with equal weights and one fan-in, one with different weights, one with
    different fan-ins too, and one with different weights and equal inputs. Each has a layer from
    `inputs` to `outputs` neurons, and a square one.

    If `outputs` is `_NEURONS`, also yield a layer with many edges and different inputs, whose
    outputs a CPU computes in pairs, and a dense layer."""
    numbers = np.arange(max(inputs, outputs))
    for weights, ragged, same in (
        (np.ones(numbers.size), False, False),
        (numbers + 1, False, False),
        (numbers + 1, True, False),
        (numbers + 1, False, True),
    ):
        layers = []
        for rows, columns in ((inputs, outputs), (outputs, outputs)):
            edges = numbers[: columns - 1] if ragged else numbers[:columns]
            sources = np.zeros_like(edges) if same else edges % rows
            shape, entries = (rows, columns), (weights[: edges.size], (sources, edges))
            matrix = sp.coo_array(entries, shape=shape).tocsr().astype(dtype)
            layers.append(Layer.from_sparse(matrix, np.full(columns, -0.25, dtype)))
        yield network(layers)
    if outputs == _NEURONS:
        shifted = np.add.outer(np.arange(inputs), np.arange(outputs))
        many = np.where(shifted % _NEURONS < 10, 1 + shifted, 0).astype(dtype)
        dense = np.ones((outputs, outputs), dtype)
        yield network([Layer.from_sparse(each, -0.25) for each in (many, dense)])


def _inputs(neurons: int) -> Iterator[Inputs]:
    """Yield two rows of ones as bits, as CSR and dense, and two rows with few nonzeros as CSR.

    SpGEMM has other workunits for few nonzeros.
    """
    bits = np.full((2, neurons // 8), 255, np.uint8)
    yield Inputs(rows=2, neurons=neurons, source="memory", bits=bits)
    ones = np.ones((2, neurons), np.float32)
    yield Inputs.from_any(sp.csr_array(ones))
    few = np.arange(neurons) % 5 == 0
    yield Inputs.from_any(sp.csr_array(ones * few))
    yield Inputs.from_any(ones)
