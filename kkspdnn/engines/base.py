"""What both engines share: their interface, and how many input rows go through at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kkspdnn.errors import InputError
from kkspdnn.inputs import Inputs
from kkspdnn.memory import free_memory
from kkspdnn.network import Layer, Network

Exits = Literal["none", "dead", "all"]
EXITS: tuple[Exits, ...] = ("none", "dead", "all")
"""Which rows leave early: none, those of zeros, or also those that are provably saturated."""

Report = Callable[[int], None]
"""Called after every layer with the number of input rows times layers that it settled."""

_SHARE = 0.4
"""The part of the free memory that activations, and weights, may each take."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What is left of some input rows after the last layer.

    rows: int64, 0-based, ascending: the input rows with any nonzero value
    values: CSR (len(rows), outputs), or None where they were not asked for
    multiplied: multiplications of a weight with an activation that were really done
    """

    rows: NDArray[np.int64]
    values: sp.csr_array | None
    multiplied: int


@dataclass(frozen=True)
class Growth:
    """How large a layer's sums can be: `reach` times the largest activation, plus `shift`."""

    reach: float
    shift: float

    @classmethod
    def of(cls, layer: Layer) -> Growth:
        """From a layer's largest fan-in, weight and bias."""
        if layer.edges == 0:
            return cls(0.0, 0.0)
        weight = max(float(layer.value.max()), -float(layer.value.min()))
        fan_in = int(np.diff(layer.start).max())
        return cls(fan_in * weight, float(np.abs(layer.bias).max()))


class Range:
    """Follows how large activations can be, so that only layers that may overflow are looked at."""

    def __init__(self, inputs: Inputs, dtype: np.dtype[Any], ymax: float | None) -> None:
        self._largest = inputs.largest
        self._dtype = dtype
        self._limit = np.inf if ymax is None else ymax
        self._answers: list[bool] = []

    def may_overflow(self, position: int, growth: Growth) -> bool:
        """Whether layer `position`, which has this growth, could leave the range of the dtype.

        To be asked for every layer in order; asked again it gives the same answer.
        """
        if position == len(self._answers):
            most = growth.reach * self._largest + growth.shift
            self._largest = min(most, self._limit)
            # Half of the range leaves room for rounding. NaN comes from 0 times infinity.
            self._answers.append(not most < float(np.finfo(self._dtype).max) / 2)
        return self._answers[position]

    def check(self, values: NDArray[Any], position: int) -> None:
        """Raise InputError where layer `position` did overflow."""
        if not np.isfinite(values).all():
            raise InputError(
                f"layer {position + 1}: the activations overflow {self._dtype}; "
                "scale the weights down or use float64"
            )


def upper_limit(dtype: np.dtype[Any], ymax: float | None) -> Any:
    """The ReLU's upper limit as a number of `dtype`, infinite where there is none."""
    with np.errstate(over="ignore"):
        limit = dtype.type(np.inf if ymax is None else ymax)
    if limit == 0:
        raise InputError(f"ymax {ymax} is 0 in {dtype}; scale the network or use float64")
    return limit


class Engine(Protocol):
    """One way through a network. Prepared layers are what its workunits take."""

    exits: Exits

    def prepare(self, layer: Layer, before: Any) -> Any:
        """A layer, in the engine's dtype, as its workunits take it; before: the prepared layer
        before it, or None. An engine may put its outputs into another order, which depends on no
        earlier layer."""

    def arrange(self, layers: list[Any]) -> list[Any]:
        """All prepared layers of a network, in order, as they lie best together in memory."""

    def bytes_per_row(self, widest: int) -> int:
        """Memory for one input row where no layer has more neurons than `widest`."""

    def warm_up(self, layers: PreparedLayers, inputs: Inputs) -> None:
        """Compile and launch once all that `run` will launch for these layers and inputs."""

    def prove(self, layers: PreparedLayers) -> None:
        """Find out, once for a network, what lets rows leave early; before `run`."""

    def run(self, layers: PreparedLayers, inputs: Inputs, values: bool, report: Report) -> Outcome:
        """All layers over all of `inputs`, which must fit into memory."""


class PreparedLayers(Sequence[Any]):
    """The prepared layers of a network: held where they fit into memory, else made on each use."""

    def __init__(self, network: Network, engine: Engine, dtype: np.dtype[Any]) -> None:
        self._network = network
        self._engine = engine
        self._dtype = dtype
        # An edge is an index of at most 4 bytes and a value; a lazy network shares nothing. Making
        # one takes the same again.
        needed = network.edges * (4 + dtype.itemsize)
        budget = _SHARE * free_memory()
        if 2 * needed > budget * max(1, len(network.layers)):
            layer = 2 * needed / max(1, len(network.layers)) / 2**30
            raise InputError(
                f"a layer of the network needs {layer:.1f} GiB, more than 40 % of the free memory; "
                "use a smaller network or a machine with more memory"
            )
        self._last: tuple[int, Any] | None = None
        held = needed <= budget
        self._held = (
            engine.arrange([self._make(i) for i in range(len(network.layers))]) if held else None
        )

    @property
    def widest(self) -> int:
        """The most neurons of any layer, the input rows' too."""
        return self._network.widest

    @property
    def outputs(self) -> int:
        """Neurons after the last layer."""
        return self._network.outputs

    def sample(self) -> Sequence[Any]:
        """All layers where they are held, else the first and the last."""
        if self._held is not None:
            return self._held
        return [self[0], self[-1]]

    def _make(self, position: int) -> Any:
        """A prepared layer; the last one is remembered, because the next one is made with it."""
        if self._last is None or self._last[0] != position - 1:
            before = None if position == 0 else self._prepare(position - 1, None)
        else:
            before = self._last[1]
        self._last = position, self._prepare(position, before)
        return self._last[1]

    def _prepare(self, position: int, before: Any) -> Any:
        try:
            return self._engine.prepare(self._network.layers[position].astype(self._dtype), before)
        except InputError as error:
            raise InputError(f"layer {position + 1}: {error}") from error

    def __len__(self) -> int:
        return len(self._network.layers)

    def __getitem__(self, position: Any) -> Any:
        if isinstance(position, slice):
            return [self[i] for i in range(*position.indices(len(self)))]
        if self._held is not None:
            return self._held[position]
        return self._make(range(len(self))[position])


def chunks(inputs: Inputs, bytes_per_row: int, granule: int) -> Iterator[tuple[int, Inputs]]:
    """Parts of the input rows that fit into memory, each with the number of its first row.

    granule: rows that belong together, a tile. Raises InputError where not even one tile fits.
    """
    budget = int(_SHARE * free_memory())
    rows = budget // bytes_per_row // granule * granule
    if rows == 0:
        raise InputError(
            f"{inputs.neurons} neurons: {granule} input rows need "
            f"{granule * bytes_per_row / 2**30:.1f} GiB, more than 40 % of the free memory; "
            "use a smaller network or a machine with more memory"
        )
    for begin in range(0, inputs.rows, rows):
        yield begin, inputs.slice(begin, min(begin + rows, inputs.rows))
