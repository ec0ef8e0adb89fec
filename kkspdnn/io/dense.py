"""
Dense networks from files of NumPy, PyTorch, safetensors and ONNX.

    NAME.npy           one weight matrix (inputs, outputs), without bias
    NAME.npz           arrays `X.weight` (outputs, inputs) as in PyTorch, or `X.kernel` (inputs,
                       outputs) as in Keras and Flax, and `X.bias`
    NAME.safetensors   the same arrays
    NAME.pt, .pth      a state_dict of torch.save; no code of the file is run
    NAME.onnx          a model as in kkspdnn.from_onnx, whose activations are kept

X is any name; a single layer may omit `X.`. Layers are sorted by the numbers in their names
(`2.weight` before `10.weight`); those of a state_dict keep its order. The bias is added to all
sums. All layers but the last one have a ReLU, except in an ONNX model, which has its own.

Also read are the arrays of torch.nn.utils.prune, `X.weight_orig` times `X.weight_mask`, and of
weight_norm, `X.weight_v` scaled to the norms `X.weight_g`. bfloat16 is converted to float32, which
is exact. float8 is refused.
"""

from __future__ import annotations

import itertools
import re
from os import PathLike
from pathlib import Path

from kkspdnn.device.memory import Budget
from kkspdnn.errors import InputError, first_line, printable
from kkspdnn.io.layer_arrays import Arrays, layer_arrays
from kkspdnn.io.numpy_files import read_npy, read_npz
from kkspdnn.io.onnx_models import read_onnx
from kkspdnn.io.path_arguments import to_path
from kkspdnn.io.safetensors_files import read_safetensors
from kkspdnn.io.state_dict_files import read_state_dict
from kkspdnn.model.ieee import ieee_arithmetic
from kkspdnn.model.layers import Layer
from kkspdnn.model.network import Network, network


@ieee_arithmetic()
def read_dense_network(path: str | PathLike[str], *, budget: Budget | None = None) -> Network:
    """
    Read a dense network from a file. See the module for the formats.

    budget: a kkspdnn.device.memory.Budget, such as Budget.from_gigabytes(8); None: the free memory.
    The sizes that the file declares are checked before memory is allocated

    The dtype is float64 if any weights are, else float32. InputError naming the file, and the
    array, for a file that is not of the format of its suffix; for arrays other than weights of two
    dimensions and their biases; for layers that do not chain, values that are not finite and names
    without an order; and if a library is not installed.
    """
    file = to_path(path)
    readers = {
        ".npy": _npy,
        ".npz": read_npz,
        ".safetensors": read_safetensors,
        ".pt": read_state_dict,
        ".pth": read_state_dict,
    }
    if file.suffix not in (*readers, ".onnx"):
        suffixes = ", ".join([*readers, ".onnx"])
        raise InputError(f"{file}: give a file that ends in one of {suffixes}, or a network folder")
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    free = Budget() if budget is None else budget
    if file.suffix == ".onnx":
        return read_onnx(file, free)
    try:
        arrays = readers[file.suffix](file, free)
    except InputError as error:
        raise _with_file(file, error) from error
    except MemoryError:
        raise
    except Exception as error:
        # The libraries' readers raise many exceptions for a damaged file.
        reason = printable(first_line(error))
        raise InputError(f"{file}: cannot be read as {file.suffix}: {reason:.100}") from error
    try:
        return dense_network(arrays, ordered=file.suffix in (".npy", ".pt", ".pth"), name=file.stem)
    except InputError as error:
        raise _with_file(file, error) from error


def _with_file(file: Path, error: InputError) -> InputError:
    """The error with the name of the file at the beginning of its message."""
    return InputError(str(error) if str(error).startswith(f"{file}: ") else f"{file}: {error}")


def dense_network(arrays: Arrays, *, ordered: bool, name: str = "network") -> Network:
    """A network from arrays by name, see `kkspdnn.io.layer_arrays`.

    ordered: whether the arrays are in the order of the layers

    InputError as in `read_dense_network`.
    """
    layers_by_name = layer_arrays(arrays)
    if not layers_by_name:
        raise InputError("no array is named X.weight or X.kernel; rename the weights")
    names = list(layers_by_name) if ordered else _natural_order(list(layers_by_name))
    layers = []
    for number, layer_name in enumerate(names, start=1):
        weights, bias = layers_by_name[layer_name].weights, layers_by_name[layer_name].bias
        layer = Layer.from_sparse(
            weights,
            0.0 if bias is None else bias,
            activation="linear" if number == len(names) else "relu",
            bias_to="all",
            name=layer_name or "weight",
        )
        layers.append(layer)
    widest = max((layer.dtype for layer in layers), key=lambda dtype: dtype.itemsize)
    return network([layer.astype(widest) for layer in layers], None, name=name)


def _natural_order(names: list[str]) -> list[str]:
    """Sort names by their numbers. InputError for names that differ in more than numbers."""
    pieces = {name: re.split(r"([0-9]+)", name) for name in names}  # text and numbers alternate
    if len({tuple(split[::2]) for split in pieces.values()}) > 1:
        raise InputError(
            f"layers {', '.join(names)} are not numbered, so their order is not known; "
            "rename them to 1.weight, 1.bias, 2.weight and so on"
        )
    numbers = {name: [int(number) for number in split[1::2]] for name, split in pieces.items()}
    ordered = sorted(names, key=lambda name: numbers[name])
    for before, name in itertools.pairwise(ordered):
        if numbers[before] == numbers[name]:
            raise InputError(f"layers {before} and {name} have the same number; rename one of them")
    return ordered


def _npy(file: Path, budget: Budget) -> Arrays:
    return {"0.kernel": read_npy(file, budget)}
