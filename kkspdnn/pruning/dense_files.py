"""
Dense networks from the files that NumPy, PyTorch and safetensors write.

    NAME.npy           one weight matrix (inputs, outputs), without bias
    NAME.npz           arrays `X.weight` (outputs, inputs) as PyTorch has them, or `X.kernel`
                       (inputs, outputs) as Keras and Flax do, and `X.bias`
    NAME.safetensors   the same
    NAME.pt, .pth      a state_dict of torch.save; no code in it is run

`X` is any name, and `X.` may be absent for a single layer; layers are in natural order of their
names (`2.weight` before `10.weight`), but those of a state_dict, which has an order, in that one.
All layers have biases on every sum and a ReLU after them, the last one no activation.

The arrays of a model that torch.nn.utils.prune or weight_norm changed are read too:
`X.weight_orig` times `X.weight_mask`, and `X.weight_v` scaled to the norms `X.weight_g`. bfloat16
is converted to float32, which is exact; float8 is refused.
"""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path

import numpy as np

from kkspdnn.errors import InputError
from kkspdnn.networks import Layer, Network, network
from kkspdnn.pruning.layer_arrays import Arrays, layer_arrays
from kkspdnn.torch_tensors import tensor_array


def read_dense_network(path: str | PathLike[str]) -> Network:
    """
    The network in a file, float32, or float64 where its weights are; see the module for which.

    InputError naming the file, and the array, for one that is not of its kind, arrays that are
    neither weights of two dimensions nor their bias, layers that do not chain, numbers that are not
    finite, names that tell no order, and a library that is not installed.
    """
    file = Path(path)
    readers = {
        ".npy": _npy,
        ".npz": _npz,
        ".safetensors": _safetensors,
        ".pt": _state_dict,
        ".pth": _state_dict,
    }
    if file.suffix not in readers:
        raise InputError(f"{file}: one of {', '.join(readers)} is needed, or a network's folder")
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    try:
        arrays = readers[file.suffix](file)
    except InputError:
        raise
    except Exception as error:
        # The libraries' readers raise nearly anything where a file is damaged.
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{file}: cannot be read as {file.suffix}: {said:.100}") from error
    try:
        return dense_network(arrays, ordered=file.suffix in (".npy", ".pt", ".pth"), name=file.stem)
    except InputError as error:
        raise InputError(f"{file}: {error}") from error


def dense_network(arrays: Arrays, *, ordered: bool, name: str = "network") -> Network:
    """A network from arrays by name; ordered: whether they come in the order of the layers.

    InputError as `read_dense_network`.
    """
    parts = layer_arrays(arrays)
    if not parts:
        raise InputError("no array is called X.weight or X.kernel")
    stems = list(parts) if ordered else _natural(list(parts))
    layers = []
    for number, stem in enumerate(stems, start=1):
        bias = parts[stem].bias
        layer = Layer.from_sparse(
            parts[stem].weights,
            0.0 if bias is None else bias,
            activation="linear" if number == len(stems) else "relu",
            bias_to="all",
            name=stem or "weight",
        )
        layers.append(layer)
    widest = max((layer.dtype for layer in layers), key=lambda dtype: dtype.itemsize)
    return network([layer.astype(widest) for layer in layers], None, name=name)


def _natural(stems: list[str]) -> list[str]:
    """In the order of their numbers; InputError for names that differ in more than numbers."""
    parts = {stem: re.split(r"([0-9]+)", stem) for stem in stems}
    if len({tuple(part[::2]) for part in parts.values()}) > 1:
        raise InputError(
            f"layers {', '.join(stems)} are not numbered, so that their order is not known; "
            "rename them to 1.weight, 1.bias, 2.weight and so on"
        )
    return sorted(stems, key=lambda stem: [int(number) for number in parts[stem][1::2]])


def _npy(file: Path) -> Arrays:
    with file.open("rb") as opened:
        loaded = np.load(opened, allow_pickle=False)
    if not isinstance(loaded, np.ndarray):
        loaded.close()
        raise InputError(f"{file}: an .npz archive; call it so")
    return {"0.kernel": loaded}


def _npz(file: Path) -> Arrays:
    with file.open("rb") as opened, np.load(opened, allow_pickle=False) as archive:
        if isinstance(archive, np.ndarray):
            raise InputError(f"{file}: one array; call it .npy")
        return {name: archive[name] for name in archive.files}


def _safetensors(file: Path) -> Arrays:
    try:
        import safetensors
        from safetensors.numpy import load
    except ModuleNotFoundError as error:
        raise InputError(f"{file}: needs safetensors: pip install 'kkspdnn[torch]'") from error
    try:
        arrays: Arrays = load(file.read_bytes())
    except safetensors.SafetensorError as error:
        raise InputError(f"{file}: no safetensors file: {error}") from error
    return arrays


def _state_dict(file: Path) -> Arrays:
    try:
        import torch
    except ModuleNotFoundError as error:
        raise InputError(f"{file}: needs PyTorch: pip install 'kkspdnn[torch]'") from error
    try:
        # Only tensors and plain containers: a file cannot name code to run.
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        # A damaged pickle may raise anything that its machine's operations do.
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{file}: no state_dict that can be read without running code: {said:.100}; "
            "write it with torch.save(model.state_dict(), FILE)"
        ) from error
    if not isinstance(loaded, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in loaded.items()
    ):
        raise InputError(
            f"{file}: not tensors by name; write it with torch.save(model.state_dict(), FILE)"
        )
    return {key: tensor_array(value, key) for key, value in loaded.items()}
