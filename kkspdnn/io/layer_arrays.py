"""
Linear layers from named arrays, such as those of a state_dict.

    X.weight                     (outputs, inputs), as in PyTorch
    X.kernel                     (inputs, outputs), as in Keras and Flax
    X.weight_orig, X.weight_mask of torch.nn.utils.prune: the weight is their product
    X.weight_v, X.weight_g       of torch.nn.utils.weight_norm: v, scaled to the norms g
    X.bias                       optional; or X.bias_orig and X.bias_mask

X is the name of the layer. The suffixes after "_" are called forms below.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.errors import InputError
from kkspdnn.units import plural

Arrays = Mapping[str, NDArray[Any]]

_PAIRS = {"orig": "mask", "v": "g"}
_BATCH_NORM = ("running_mean", "running_var", "num_batches_tracked")
_REMEDIES = {
    "spectral_norm": "torch.nn.utils.remove_spectral_norm(layer)",
    "parametrizations": "torch.nn.utils.parametrize.remove_parametrizations(layer, {!r})",
}


@dataclass(frozen=True, eq=False)
class LayerArrays:
    """The weights, (inputs, outputs), and the bias, (outputs), of a Linear layer."""

    weights: NDArray[Any]
    bias: NDArray[Any] | None


def layer_arrays(arrays: Arrays) -> dict[str, LayerArrays]:
    """
    The layers by name, in the order of their weights in `arrays`.

    InputError naming the array if it is not one of a Linear layer, if a weight or bias occurs in
    several forms, and for the arrays of a parametrization, which does not name its function.
    """
    layers: dict[str, dict[str, list[str]]] = {}
    for key in arrays:
        layer, name, form = _split_key(key)
        layers.setdefault(layer, {}).setdefault(name, []).append(form)
    weightless = [
        layer for layer, names in layers.items() if not names.keys() & {"weight", "kernel"}
    ]
    if weightless and len(weightless) < len(layers):
        layer = weightless[0]
        raise InputError(
            f"{_join_key(layer, next(iter(layers[layer])))} is neither the weight nor the bias of "
            "a layer; only Linear layers are supported"
        )
    # The bias of a layer may come first, but the order of layers is that of their weights.
    ordered = dict.fromkeys(
        layer for layer, name, _ in map(_split_key, arrays) if name in ("weight", "kernel")
    )
    return {layer: _layer(arrays, layer, layers[layer]) for layer in ordered}


def _layer(arrays: Arrays, layer: str, names: dict[str, list[str]]) -> LayerArrays:
    """names: the forms of each array of the layer"""
    if "weight" in names and "kernel" in names:
        raise InputError(f"{layer or 'the layer'} has a weight and a kernel; keep one of the two")
    name = "weight" if "weight" in names else "kernel"
    weights = _combined(arrays, layer, name, names[name])
    if weights.ndim != 2:
        raise InputError(
            f"{_join_key(layer, name)} has {plural(weights.ndim, 'dimension')}; that of a Linear "
            "layer has 2"
        )
    bias = _combined(arrays, layer, "bias", names["bias"]) if "bias" in names else None
    return LayerArrays(weights.T if name == "weight" else weights, bias)


def _split_key(key: str) -> tuple[str, str, str]:
    """The layer, the array (weight, kernel or bias) and the form, "" for the array itself."""
    layer, _, last = key.rpartition(".")
    above, _, parametrized = layer.rpartition(".")
    owner, _, container = above.rpartition(".")
    if container == "parametrizations":
        remedy = _REMEDIES["parametrizations"].format(parametrized)
        raise InputError(
            f"{key}: {owner or 'the layer'} was saved with a parametrization of its "
            f"{parametrized}, and the file does not say which; call {remedy} before saving"
        )
    if last in _BATCH_NORM:
        # Its epsilon and its place in the model are not in a state_dict.
        raise InputError(
            f"{key}: a state_dict with BatchNorm cannot be converted without its model; "
            "use kk.from_torch(model)"
        )
    name, _, form = last.partition("_")
    known_forms = ("", *_PAIRS, *_PAIRS.values(), "u")
    if name not in ("weight", "kernel", "bias") or form not in known_forms:
        raise InputError(
            f"{key} is neither the weight nor the bias of a layer; only Linear layers are supported"
        )
    return layer, name, form


def _combined(arrays: Arrays, layer: str, name: str, forms: list[str]) -> NDArray[Any]:
    """The effective weight or bias, computed from its forms."""
    key = _join_key(layer, name)
    if forms == [""]:
        return arrays[key]
    if "u" in forms:
        raise InputError(
            f"{key}_u: {layer or 'the layer'} was saved with spectral_norm, whose dimension the "
            f"file does not say; call {_REMEDIES['spectral_norm']} before saving"
        )
    for first, second in _PAIRS.items():
        if sorted(forms) == sorted((first, second)):
            pair = arrays[f"{key}_{first}"], arrays[f"{key}_{second}"]
            return _masked(key, *pair) if first == "orig" else _scaled(key, *pair)
    keys = ", ".join(f"{key}_{form}" if form else key for form in forms)
    raise InputError(
        f"{keys}: give either {key}, {key}_orig with {key}_mask, or {key}_v with {key}_g"
    )


def _check_numbers(key: str, array: NDArray[Any]) -> None:
    if array.dtype.kind not in "biuf":
        raise InputError(f"{key}: {array.dtype} values are not real numbers")


def _masked(key: str, original: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
    _check_numbers(f"{key}_orig", original)
    _check_numbers(f"{key}_mask", mask)
    if original.shape != mask.shape:
        raise InputError(
            f"{key}_mask has shape {mask.shape}, {key}_orig {original.shape}; they must be equal"
        )
    # As in PyTorch, the mask is cast to the dtype of the weights.
    product: NDArray[Any] = original * mask.astype(original.dtype)
    return product


def _scaled(key: str, direction: NDArray[Any], norms: NDArray[Any]) -> NDArray[Any]:
    """`direction` scaled to `norms`, which are over all axes but the one that `norms` keeps."""
    _check_numbers(f"{key}_v", direction)
    _check_numbers(f"{key}_g", norms)
    kept = [axis for axis, length in enumerate(norms.shape) if length != 1]
    shape = tuple(n if axis in kept else 1 for axis, n in enumerate(direction.shape))
    matches = norms.ndim == 0 or (norms.shape == shape and (kept or 1 in direction.shape))
    if not matches or len(kept) > 1:
        raise InputError(
            f"{key}_g has shape {norms.shape}, which does not match {key}_v {direction.shape}; "
            "it must have norms over all axes but one, or over all axes"
        )
    wide = direction.astype(np.float64)
    reduced = tuple(axis for axis in range(direction.ndim) if axis not in kept)
    lengths = np.sqrt((wide**2).sum(axis=reduced, keepdims=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        # A direction of length 0 gives NaN, as in PyTorch. Layer refuses it as a weight.
        scaled: NDArray[Any] = (wide * (norms / lengths)).astype(direction.dtype)
    return scaled


def _join_key(layer: str, name: str) -> str:
    return f"{layer}.{name}" if layer else name
