"""The activation of a layer as arguments of the workunits."""

from __future__ import annotations

from typing import Any

import numpy as np

from kkspdnn.errors import InputError
from kkspdnn.model.layers import Layer


def upper_limit(dtype: np.dtype[Any], ymax: float | None) -> Any:
    """Return the upper limit of the ReLU as a scalar of `dtype`; infinity for None.

    Raises InputError if it is 0 in `dtype`.
    """
    with np.errstate(over="ignore"):
        limit = dtype.type(np.inf if ymax is None else ymax)
    if limit == 0:
        raise InputError(f"ymax {ymax} is 0 in {dtype}; scale the network or use float64")
    return limit


def activation_arguments(layer: Layer, dtype: np.dtype[Any], ymax: Any) -> dict[str, Any]:
    """Return `low` and `ymax`, the limits that a layer applies to its sums, as scalars of `dtype`.

    ymax: upper limit of the network's ReLU, a scalar of `dtype`
    """
    if layer.activation == "relu":
        return {"low": dtype.type(0), "ymax": ymax}
    return {"low": dtype.type(-np.inf), "ymax": dtype.type(np.inf)}


def output_arguments(layer: Layer, ymax: Any) -> dict[str, Any]:
    """Return the arguments with which a workunit makes outputs from sums: `bias`, `zero`,
    `unbiased`, and those of `activation_arguments`. The layer has the dtype of the run."""
    return {
        "bias": layer.bias,
        "zero": layer.dtype.type(0),
        "unbiased": unbiased_sum(layer),
        **activation_arguments(layer, layer.dtype, ymax),
    }


def unbiased_sum(layer: Layer) -> Any:
    """Return the sum to which no bias is added, as a scalar of the layer's dtype: 0 if the bias is
    added to nonzero sums; else NaN, which differs from all sums."""
    return layer.dtype.type(0 if layer.bias_to == "nonzero" else np.nan)
