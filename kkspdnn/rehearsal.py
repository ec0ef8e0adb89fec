"""The workunits that the engines launch, and the types that they are launched with.

Found by rehearsing the engines' own warm-up on tiny networks: nothing is compiled or started, and
no table can go stale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from kkspdnn.choices import KERNELS, SpaceName
from kkspdnn.engines import make_engine
from kkspdnn.engines.prepared import PreparedLayers
from kkspdnn.errors import KkspdnnError
from kkspdnn.inputs import Inputs
from kkspdnn.networks import Layer, Network, network
from kkspdnn.pk import VARIABLE, chosen, provide_pykokkos
from kkspdnn.pk.dispatch import Launched, rehearse
from kkspdnn.pk.toolchain import usable_cores
from kkspdnn.radix_net import radixnet
from kkspdnn.spaces import EXECUTION_SPACES, Space

_NEURONS = 32


@dataclass(frozen=True)
class _Stage(Space):
    """A space in which Kokkos is not started, as nothing is really launched."""

    def warm_up(self, launch_each: Callable[[], object]) -> None:
        launch_each()


def engine_launches(space: SpaceName, dtype: np.dtype[Any]) -> dict[str, Launched]:
    """Every workunit of the engines by its name, as a run in this space and dtype launches it;
    one that is launched with several types, with the last of them.

    Raises KkspdnnError where the real PyKokkos is in use, which the built-in compiler knows nothing
    of.
    """
    if chosen() != "builtin":
        raise KkspdnnError(
            "the real PyKokkos is in use, and keeps its C++ in ./pk_cpp; "
            f"set {VARIABLE}=builtin to see the built-in compiler's"
        )
    pk = provide_pykokkos()
    stage = _Stage(
        name=space,
        front="builtin",
        pk=pk,
        execution_space=getattr(pk, EXECUTION_SPACES[space]),
        threads=usable_cores(),
        kokkos_version="",
        compiler="",
    )

    def warm_up_all() -> None:
        for kernel in KERNELS:
            for net in _networks(dtype):
                engine = make_engine(kernel, stage, dtype, net.ymax)
                layers = PreparedLayers(net, engine, dtype)
                for inputs in _inputs():
                    engine.warm_up(layers, inputs)

    return {launched[0].__name__: launched for launched in rehearse(warm_up_all)}


def _networks(dtype: np.dtype[Any]) -> Iterator[Network]:
    """Equal weights and a single fan-in; other weights; other fan-ins as well."""
    yield radixnet(_NEURONS, 2, dtype=dtype)
    for weights in (np.diag(np.arange(1, _NEURONS + 1)), np.tri(_NEURONS)):
        layer = Layer.from_sparse(weights.astype(dtype), np.zeros(_NEURONS, dtype))
        yield network([layer] * 2)


def _inputs() -> Iterator[Inputs]:
    """Bits, CSR and dense rows."""
    bits = np.full((1, _NEURONS // 8), 255, np.uint8)
    yield Inputs(rows=1, neurons=_NEURONS, source="memory", bits=bits)
    ones = np.ones((1, _NEURONS), np.float32)
    yield Inputs.from_any(sp.csr_array(ones))
    yield Inputs.from_any(ones)
