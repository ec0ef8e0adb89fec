"""
Which arrays of a file make up which Linear layer, by their names.

    X.weight                     (outputs, inputs), as in PyTorch
    X.kernel                     (inputs, outputs), as in Keras and Flax
    X.weight_orig, X.weight_mask of torch.nn.utils.prune: the weight is their product
    X.weight_v, X.weight_g       of torch.nn.utils.weight_norm: v, scaled to the norms g
    X.bias                       or bias_orig and bias_mask
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.errors import InputError

Arrays = Mapping[str, NDArray[Any]]

_PAIRS = {"orig": "mask", "v": "g"}
_REMOVE = {
    "spectral_norm": "torch.nn.utils.remove_spectral_norm(layer)",
    "parametrizations": "torch.nn.utils.parametrize.remove_parametrizations(layer, {!r})",
}


@dataclass(frozen=True, eq=False)
class LayerArrays:
    """weights: (inputs, outputs); bias: of each output, or None"""

    weights: NDArray[Any]
    bias: NDArray[Any] | None


def layer_arrays(arrays: Arrays) -> dict[str, LayerArrays]:
    """
    The layers by their names, in the order of their weights in `arrays`.

    InputError naming the array for one that is not of a Linear layer, or is there in two forms, and
    for weights that were saved under a parametrization, of which a file does not say which.
    """
    layers: dict[str, dict[str, list[str]]] = {}
    for key in arrays:
        stem, name, form = _taken_apart(key)
        layers.setdefault(stem, {}).setdefault(name, []).append(form)
    weightless = [stem for stem, names in layers.items() if not names.keys() & {"weight", "kernel"}]
    if weightless and len(weightless) < len(layers):
        stem = weightless[0]
        raise InputError(
            f"{_joined(stem, next(iter(layers[stem])))} is neither a layer's weight nor its bias; "
            "only Linear layers are known"
        )
    # A layer may come with its bias first, but the order of layers is that of their weights.
    order = dict.fromkeys(
        stem for stem, name, _ in map(_taken_apart, arrays) if name in ("weight", "kernel")
    )
    return {stem: _layer(arrays, stem, layers[stem]) for stem in order}


def _layer(arrays: Arrays, stem: str, names: dict[str, list[str]]) -> LayerArrays:
    if "weight" in names and "kernel" in names:
        raise InputError(f"{stem or 'the layer'} has a weight and a kernel; keep one of the two")
    kind = "weight" if "weight" in names else "kernel"
    weights = _value(arrays, stem, kind, names[kind])
    if weights.ndim != 2:
        raise InputError(
            f"{_joined(stem, kind)} has {weights.ndim} dimensions, a Linear layer's two"
        )
    bias = _value(arrays, stem, "bias", names["bias"]) if "bias" in names else None
    return LayerArrays(weights.T if kind == "weight" else weights, bias)


def _taken_apart(key: str) -> tuple[str, str, str]:
    """A key as the layer, which of its arrays, and in what form: "" for the array itself."""
    stem, _, name = key.rpartition(".")
    around, _, module = stem.rpartition(".")
    above, _, last = around.rpartition(".")
    if last == "parametrizations" or around == "parametrizations":
        layer = above if last == "parametrizations" else ""
        how = _REMOVE["parametrizations"].format(module)
        raise InputError(
            f"{key}: {layer or 'the layer'} was saved with a parametrization of its {module}, and "
            f"the file does not say which; call {how} before saving"
        )
    kind, _, form = name.partition("_")
    known = kind in ("weight", "kernel", "bias") and form in ("", *_PAIRS, *_PAIRS.values(), "u")
    if not known:
        raise InputError(
            f"{key} is neither a layer's weight nor its bias; only Linear layers are known"
        )
    return stem, kind, form


def _value(arrays: Arrays, stem: str, name: str, forms: list[str]) -> NDArray[Any]:
    """The array that the layer multiplies with, from the forms that it is there in."""
    key = _joined(stem, name)
    if forms == [""]:
        return arrays[key]
    if "u" in forms:
        raise InputError(
            f"{key}_u: {stem or 'the layer'} was saved with spectral_norm, whose dimension the "
            f"file does not say; call {_REMOVE['spectral_norm']} before saving"
        )
    for first, second in _PAIRS.items():
        if sorted(forms) == sorted((first, second)):
            one, other = arrays[f"{key}_{first}"], arrays[f"{key}_{second}"]
            return _pruned(key, one, other) if first == "orig" else _scaled(key, one, other)
    given = ", ".join(f"{key}_{form}" if form else key for form in forms)
    raise InputError(
        f"{given}: one of {key}, {key}_orig with {key}_mask, and {key}_v with {key}_g is needed"
    )


def _check_numbers(key: str, array: NDArray[Any]) -> None:
    if array.dtype.kind not in "biuf":
        raise InputError(f"{key}: {array.dtype} values are not real numbers")


def _pruned(key: str, original: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
    _check_numbers(f"{key}_orig", original)
    _check_numbers(f"{key}_mask", mask)
    if original.shape != mask.shape:
        raise InputError(
            f"{key}_mask has shape {mask.shape}, {key}_orig {original.shape}; they must be equal"
        )
    # As PyTorch does: the mask in the type of the weights.
    product: NDArray[Any] = original * mask.astype(original.dtype)
    return product


def _scaled(key: str, direction: NDArray[Any], norms: NDArray[Any]) -> NDArray[Any]:
    """`direction` with norms over all dimensions but the one in which `norms` has more than one."""
    _check_numbers(f"{key}_v", direction)
    _check_numbers(f"{key}_g", norms)
    kept = [axis for axis, length in enumerate(norms.shape) if length != 1]
    shape = tuple(n if axis in kept else 1 for axis, n in enumerate(direction.shape))
    single = norms.ndim == 0 or (norms.shape == shape and (kept or 1 in direction.shape))
    if not single or len(kept) > 1:
        raise InputError(
            f"{key}_g has shape {norms.shape}, which are no norms of {key}_v {direction.shape}"
        )
    wide = direction.astype(np.float64)
    reduced = tuple(axis for axis in range(direction.ndim) if axis not in kept)
    lengths = np.sqrt((wide**2).sum(axis=reduced, keepdims=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        # A direction of length 0 gives NaN, as in PyTorch; it is refused as a weight.
        scaled: NDArray[Any] = (wide * (norms / lengths)).astype(direction.dtype)
    return scaled


def _joined(stem: str, name: str) -> str:
    return f"{stem}.{name}" if stem else name
