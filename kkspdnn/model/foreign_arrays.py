"""Arrays of PyTorch and of other libraries with DLPack, as NumPy arrays and SciPy matrices.

No other library is imported here: a tensor exists only after its library was imported.
"""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import numpy as np
import scipy.sparse as sp

from kkspdnn.errors import InputError, first_line

_CPU = 1, 3
"""DLPack's kDLCPU and kDLCUDAHost."""

_CUDA = 2, 13
"""DLPack's kDLCUDA and kDLCUDAManaged."""


def torch_of(obj: object) -> Any:
    """Return the module torch if `obj` is a torch.Tensor, else None."""
    torch = sys.modules.get("torch")
    return torch if isinstance(obj, getattr(torch, "Tensor", ())) else None


def is_torch_module(obj: object) -> bool:
    """Return whether `obj` is a torch.nn.Module. Does not import PyTorch."""
    nn = sys.modules.get("torch.nn")
    return isinstance(obj, getattr(nn, "Module", ()))


def gpu_number(obj: Any) -> int | None:
    """Return the number of the NVIDIA GPU that has the values of an array in its memory; None for
    all other arrays and objects."""
    try:
        kind, number = obj.__dlpack_device__()
    except Exception:  # not an array, or one of another library, which may raise any exception
        return None
    return int(number) if kind in _CUDA else None


def to_host_array(obj: Any, label: str) -> Any:
    """
    Return a PyTorch tensor, or another array with `__dlpack__`, as a NumPy array.

    obj: an array in CPU memory; a sparse tensor, CSR or COO, becomes a SciPy matrix. An object of
    another type is returned as it is
    label: the beginning of the message of an InputError

    The values are not copied, except bfloat16, which becomes float32. No gradient is recorded, as
    under torch.no_grad. Raises InputError for an array in the memory of a GPU and for one that
    cannot be converted.
    """
    torch = torch_of(obj)
    if torch is None and (isinstance(obj, np.ndarray) or not hasattr(obj, "__dlpack__")):
        return obj
    try:
        if torch is not None:
            if obj.is_cpu:
                return _from_tensor(torch, obj)
        elif obj.__dlpack_device__()[0] in _CPU:
            return np.from_dlpack(obj)
    except Exception as error:  # of any type, raised by the other library
        refuse_conversion(obj, error, label)
    raise InputError(
        f"{label}: {type(obj).__name__} in the memory of {getattr(obj, 'device', 'a device')}; "
        "copy it to the CPU first, as with .cpu() or .get(); or use a Predictor with space='cuda'"
    )


def refuse_conversion(obj: object, error: Exception, label: str) -> NoReturn:
    """Raise InputError for an array whose values cannot be accessed."""
    reason = first_line(error)
    raise InputError(
        f"{label}: this {type(obj).__name__} cannot be converted: {reason:.100}; "
        "give a dense array of float32 or float64"
    ) from error


def _from_tensor(torch: Any, tensor: Any) -> Any:
    """Return a tensor in CPU memory as a NumPy array or a SciPy matrix."""
    try:
        return tensor.numpy()
    except (RuntimeError, TypeError):
        pass  # most tensors need none of the checks below
    if tensor.layout is torch.strided:
        return _numpy(torch, tensor)
    if tensor.layout is torch.sparse_csr:
        arrays = tensor.values(), tensor.col_indices(), tensor.crow_indices()
        return sp.csr_array(tuple(_numpy(torch, each) for each in arrays), tensor.shape)
    if tensor.layout is torch.sparse_coo:
        # PyTorch defines that values of one element are added up.
        coalesced = tensor.detach().coalesce()
        indices = tuple(_numpy(torch, coalesced.indices()))
        return sp.coo_array((_numpy(torch, coalesced.values()), indices), tensor.shape)
    raise TypeError(f"its layout is {tensor.layout}")


def _numpy(torch: Any, tensor: Any) -> Any:
    """Return a dense tensor as a NumPy array, without its gradient."""
    if tensor.dtype is torch.bfloat16:
        tensor = tensor.float()
    return tensor.numpy(force=True)
