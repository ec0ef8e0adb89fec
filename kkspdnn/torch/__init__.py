"""Sparse networks as modules of PyTorch.

Importing this module does not import PyTorch; the first use of `SparseSequential` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kkspdnn.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from kkspdnn.torch.sparse_sequential import SparseSequential

__all__ = ["SparseSequential", "compile"]


def compile(model: Any, **options: Any) -> SparseSequential:
    """Return a PyTorch module that computes the outputs of a model with sparse weights.

    Use `model = kk.compile(model)` after training and pruning. The result is for inference only.

    model: a torch.nn.Module as in `from_torch`, in any mode; the result is in eval mode
    options: space, exits, threads, device, memory and tune, as in `SparseSequential`

    Raises InputError for a Network, which `Predictor` takes, and as `SparseSequential`; TypeError
    for an unknown option.
    """
    from inspect import signature

    from kkspdnn.model.network import Network

    if isinstance(model, Network):
        raise InputError("compile takes a PyTorch model; pass a Network to kk.Predictor instead")
    try:
        from kkspdnn.torch.sparse_sequential import SparseSequential
    except ModuleNotFoundError as error:
        raise InputError("compile needs PyTorch: pip install torch") from error
    known = list(signature(SparseSequential).parameters)[1:]
    for name in options:
        if name not in known:
            hint = did_you_mean(name, known)
            raise TypeError(f"compile() got an unexpected keyword argument {name!r}{hint}")
    return SparseSequential(model, **options)


def __getattr__(name: str) -> object:
    if name != "SparseSequential":
        raise AttributeError(f"module 'kkspdnn.torch' has no attribute {name!r}")
    try:
        from kkspdnn.torch.sparse_sequential import SparseSequential
    except ModuleNotFoundError as error:
        text = "kkspdnn.torch.SparseSequential needs PyTorch: pip install torch"
        raise ModuleNotFoundError(text, name=error.name) from error
    globals()[name] = SparseSequential
    return SparseSequential


def __dir__() -> list[str]:
    from importlib.util import find_spec

    # `help` gets every name that is listed.
    known = __all__ if find_spec("torch") is not None else ["compile"]
    return sorted({*globals(), *known})
