"""The limits of a layer's activation, as the workunits take them."""

from __future__ import annotations

from typing import Any

import numpy as np

from kkspdnn.errors import InputError
from kkspdnn.model.layers import Layer


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
