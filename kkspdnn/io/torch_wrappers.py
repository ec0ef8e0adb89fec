"""PyTorch modules made from a model, for which the model itself is to be passed."""

from __future__ import annotations

from typing import Any

from kkspdnn.errors import InputError


def check_not_wrapped(module: Any, label: str) -> None:
    """Raise InputError for a SparseSequential and for scripted, quantized and parallel modules.

    label: of the module, the beginning of the message
    """
    from torch import jit, nn

    # By name, because `io` does not import kkspdnn.torch, and PyTorch moves its quantized modules.
    homes = [cls.__module__.split(".") for cls in type(module).__mro__]
    if any(home[:2] == ["kkspdnn", "torch"] for home in homes):
        raise InputError(f"{label} is a SparseSequential already; pass the dense model")
    if isinstance(module, jit.ScriptModule):
        raise InputError(
            f"{label} is a TorchScript module; pass the model before torch.jit.script or "
            "torch.jit.trace"
        )
    if any(home[0] == "torch" and "quantized" in home for home in homes):
        raise InputError(
            f"{label} is a quantized {type(module).__name__}, and quantized modules are not "
            "supported; pass the model before quantization"
        )
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        raise InputError(f"{label} is a {type(module).__name__}; pass {label}.module")
