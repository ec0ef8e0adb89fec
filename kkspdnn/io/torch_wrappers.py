"""PyTorch modules made from a model, for which the model itself is to be passed."""

from __future__ import annotations

from typing import Any

from kkspdnn.errors import InputError


def check_not_wrapped(module: Any, label: str) -> None:
    """Raise InputError for a SparseSequential and for scripted, quantized and parallel modules.

    label: of the module, the beginning of the message
    """
    from torch import jit, nn

    kinds = [cls.__module__ for cls in type(module).__mro__]
    if any(kind.startswith("kkspdnn.torch.") for kind in kinds):
        raise InputError(f"{label} is a SparseSequential already; pass the dense model")
    if isinstance(module, jit.ScriptModule):
        raise InputError(
            f"{label} is a TorchScript module; pass the model before torch.jit.script or "
            "torch.jit.trace"
        )
    if any("quantized" in kind.split(".") for kind in kinds):
        raise InputError(
            f"{label} is a quantized {type(module).__name__}, and quantized modules are not "
            "supported; pass the model before quantization"
        )
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        raise InputError(f"{label} is a {type(module).__name__}; pass {label}.module")
