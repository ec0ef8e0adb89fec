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

import itertools
import re
import zipfile
from os import PathLike
from pathlib import Path

from kkspdnn.device.memory import Budget
from kkspdnn.errors import InputError
from kkspdnn.io.layer_arrays import Arrays, layer_arrays
from kkspdnn.io.numpy_files import describe_content, read_npy, read_npz
from kkspdnn.io.pytorch_tensors import tensor_array
from kkspdnn.io.safetensors_files import read_safetensors
from kkspdnn.model.ieee import ieee_arithmetic
from kkspdnn.model.network import Layer, Network, network


@ieee_arithmetic()
def read_dense_network(path: str | PathLike[str], *, budget: Budget | None = None) -> Network:
    """
    The network in a file, float32, or float64 where its weights are; see the module for which.

    budget: of memory, what is free on the machine where it is None; what a file claims to hold is
    checked before it is read.

    InputError naming the file, and the array, for one that is not of its kind, arrays that are
    neither weights of two dimensions nor their bias, layers that do not chain, numbers that are not
    finite, names that tell no order, and a library that is not installed.
    """
    file = Path(path)
    readers = {
        ".npy": _npy,
        ".npz": read_npz,
        ".safetensors": read_safetensors,
        ".pt": _state_dict,
        ".pth": _state_dict,
    }
    if file.suffix not in readers:
        raise InputError(f"{file}: one of {', '.join(readers)} is needed, or a network's folder")
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    try:
        arrays = readers[file.suffix](file, Budget() if budget is None else budget)
    except InputError as error:
        raise _named(file, error) from error
    except MemoryError:
        raise
    except Exception as error:
        # The libraries' readers raise nearly anything where a file is damaged.
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{file}: cannot be read as {file.suffix}: {said:.100}") from error
    try:
        return dense_network(arrays, ordered=file.suffix in (".npy", ".pt", ".pth"), name=file.stem)
    except InputError as error:
        raise _named(file, error) from error


def _named(file: Path, error: InputError) -> InputError:
    """The error with the name of its file before it, where that does not begin it already."""
    return InputError(str(error) if str(error).startswith(f"{file}: ") else f"{file}: {error}")


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
    numbers = {stem: [int(number) for number in part[1::2]] for stem, part in parts.items()}
    ordered = sorted(stems, key=lambda stem: numbers[stem])
    for before, stem in itertools.pairwise(ordered):
        if numbers[before] == numbers[stem]:
            raise InputError(f"layers {before} and {stem} have the same number; rename one of them")
    return ordered


def _npy(file: Path, budget: Budget) -> Arrays:
    return {"0.kernel": read_npy(file, budget)}


def _state_dict(file: Path, budget: Budget) -> Arrays:
    try:
        import torch
    except ModuleNotFoundError as error:
        raise InputError(f"{file}: needs PyTorch: pip install 'kkspdnn[torch]'") from error
    _check_archive(file, budget)
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
    # A tensor may repeat a few numbers that are stored.
    total = sum(value.numel() * max(4, value.element_size()) for value in loaded.values())
    budget.require(total, f"{file}: its tensors")
    return {key: tensor_array(value, key) for key, value in loaded.items()}


def _check_archive(file: Path, budget: Budget) -> None:
    """Raise InputError for what is no file of torch.save, or needs more memory than is free."""
    with file.open("rb") as opened:
        head = opened.read(64)
        content = describe_content(head)
        # PyTorch before 1.6 wrote bare pickles, of which it reads tensors without running code.
        if content is not None and not head.startswith((b"PK", b"\x80")):
            raise InputError(f"{file}: not a file of torch.save: it is {content}")
        if head.startswith(b"PK"):
            with zipfile.ZipFile(opened) as archive:
                total = sum(member.file_size for member in archive.infolist())
            budget.require(total, f"{file}: its tensors")
