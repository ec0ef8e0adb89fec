"""What both engines share: their interface, and what activations may grow to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kkspdnn.choices import Exits
from kkspdnn.device.double_buffer import Put
from kkspdnn.device.space import Space
from kkspdnn.engines.fused.early_exit import Ends
from kkspdnn.engines.partial_result import Order, Outcome, Wanted
from kkspdnn.errors import InputError
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Layer

if TYPE_CHECKING:
    from kkspdnn.engines.layer_store import PreparedLayers

"""Which rows leave early: none, those of zeros, or all whose end is proved, zeros or saturated."""

Report = Callable[[int], None]
"""Called after every layer with the number of input rows times layers that it settled."""


def silent(_settled: int) -> None:
    """The Report that tells nobody."""


@dataclass(frozen=True)
class Growth:
    """How large a layer's sums can be: `reach` times the largest activation, plus `shift`; what
    comes of them is at most `limit`."""

    reach: float
    shift: float
    limit: float

    @classmethod
    def of(cls, layer: Layer, ymax: float) -> Growth:
        """From a layer's largest fan-in, weight and bias; ymax: of its ReLU, may be infinite."""
        weight = max(float(layer.value.max()), -float(layer.value.min())) if layer.edges else 0.0
        fan_in = int(np.diff(layer.start).max())
        limit = float(ymax) if layer.activation == "relu" else np.inf
        return cls(fan_in * weight, float(np.abs(layer.bias).max()), limit)


class Range:
    """Follows how large activations can be, so that only layers that may overflow are looked at."""

    def __init__(self, inputs: Inputs, dtype: np.dtype[Any]) -> None:
        self._largest = inputs.largest
        self._dtype = dtype
        self._answers: list[bool] = []

    def may_overflow(self, position: int, growth: Growth) -> bool:
        """Whether layer `position`, which has this growth, could leave the range of the dtype.

        To be asked for every layer in order; asked again it gives the same answer.
        """
        if position == len(self._answers):
            most = growth.reach * self._largest + growth.shift
            self._largest = min(most, growth.limit)
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


def activation(layer: Layer, dtype: np.dtype[Any], ymax: Any) -> dict[str, Any]:
    """A layer's activation as the workunits take it: `low` and `ymax`, between which it keeps its
    sums; ymax: of its ReLU, a number of `dtype`."""
    if layer.activation == "relu":
        return {"low": dtype.type(0), "ymax": ymax}
    return {"low": dtype.type(-np.inf), "ymax": dtype.type(np.inf)}


class Engine(Protocol):
    """One way through a network. Prepared layers are what its workunits take."""

    space: Space
    exits: Exits
    order: Order
    """Of the last run."""
    ymax: Any
    """The upper limit of the ReLU in the engine's dtype, may be infinite."""
    in_csr: bool
    """Whether activations are CSR, as `Outcome` has them, and not tiles."""
    ends: Sequence[Ends]
    """Which rows leave before each layer, and after the last one; empty before `prove`, and where
    none ever does."""

    def prepare(self, layer: Layer, before: Any) -> Any:
        """A layer, in the engine's dtype, as its workunits take it, with NumPy's arrays; before:
        the prepared layer before it, or None. An engine may put its outputs into another order,
        which depends on no earlier layer."""

    def size(self, layer: Any) -> int:
        """Bytes of a prepared layer."""

    def placed(self, layer: Any, put: Put) -> Any:
        """A prepared layer with its arrays where `put` moves them, in the same order each time."""

    def arrange(self, layers: Iterable[Any]) -> list[Any]:
        """The first prepared layers of a network, in order, as they lie best together in memory,
        where the workunits run.

        They are taken one by one, and few of them are held both ways at once.
        """

    def bytes_per_row(self, widest: int) -> int:
        """Memory for one input row where no layer has more neurons than `widest`."""

    def warm_up(self, layers: PreparedLayers, inputs: Inputs) -> None:
        """Compile and launch once all that `run` will launch for these layers and inputs."""

    def prove(self, layers: PreparedLayers, inputs: Inputs) -> None:
        """Find out, once for a network, what lets rows leave early; after `warm_up` for rows of the
        same kind, and before `run`."""

    def take_room(self, layers: PreparedLayers, inputs: Inputs) -> None:
        """Take the memory for the activations of a run over these inputs, once, before `run`."""

    def run(
        self, layers: PreparedLayers, inputs: Inputs, wanted: Wanted | None, report: Report
    ) -> Iterator[Outcome]:
        """All layers over all of `inputs`, with at most `layers.rows` rows in memory at a time: the
        outcome of one part of the rows after the other, with the values of those that are wanted.
        """
