"""Arguments of a launch that hold or share an array: views, and tensors of PyTorch."""

from __future__ import annotations

import sys
from typing import Any

from kkspdnn.errors import first_line


class ArrayHolder:
    """The base class of `pk.View`. `data` is its array: NumPy's, or CuPy's in GPU memory."""

    __slots__ = ("__weakref__", "data")

    data: Any


def shared_array(value: Any) -> Any:
    """Return the array of an argument: of a view its own, of a PyTorch tensor in host memory a
    NumPy array that shares its memory. Any other argument is returned as it is.

    Raises TypeError for a tensor without such an array, with what to pass instead.
    """
    if isinstance(value, ArrayHolder):
        return value.data
    if is_tensor(value):
        return _tensor_array(value)
    return value


def is_tensor(value: Any) -> bool:
    """Return whether an object is a PyTorch tensor; PyTorch is not imported."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, getattr(torch, "Tensor", ()))


def _tensor_array(tensor: Any) -> Any:
    if tensor.requires_grad:
        raise TypeError("a tensor that requires gradients is no argument: pass tensor.detach()")
    if tensor.is_cuda:
        return tensor  # it has the CUDA Array Interface
    try:
        return tensor.numpy()
    except (RuntimeError, TypeError) as error:
        raise TypeError(
            f"a tensor without a NumPy array is no argument: {first_line(error)}"
        ) from error
