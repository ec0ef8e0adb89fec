"""NumPy arrays from PyTorch tensors, and from the parameters of a module's next forward pass."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.errors import InputError, first_line

_TO_FLOAT32 = ("float16", "bfloat16")
_UNCHANGED = ("float32", "float64", "bool", "uint8", "int8", "int16", "int32", "int64")


def tensor_array(tensor: Any, label: str) -> NDArray[Any]:
    """
    A copy of a dense tensor of real numbers as an array. float16 and bfloat16 become float32.

    InputError, beginning with `label`, for other dtypes, for quantized, sparse and meta tensors,
    and for subclasses of torch.Tensor, which may define another arithmetic.
    """
    import torch

    if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        raise InputError(f"{label}: {type(tensor).__name__}; a torch.Tensor is needed")
    if tensor.layout != torch.strided:
        raise InputError(f"{label}: {tensor.layout} tensor; call .to_dense() on it first")
    if tensor.device.type == "meta":
        raise InputError(f"{label}: on the meta device, without values; load the weights first")
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype not in (*_TO_FLOAT32, *_UNCHANGED):
        raise InputError(f"{label}: {dtype} values; convert them to float32 or float64 first")
    copied = tensor.detach().to("cpu").resolve_neg()
    if dtype in _TO_FLOAT32:
        copied = copied.to(torch.float32)
    return np.array(copied.numpy())


def check_hooks(module: Any, path: str) -> None:
    """
    Raise InputError if a forward pass of the module computes more than that of its class.

    path: of the module in the model, the beginning of the message

    Hooks of torch.nn.utils that compute a parameter are allowed, see `current_parameter`.
    """
    from torch.nn.modules import module as modules

    if "forward" in vars(module):
        raise InputError(f"{path}: its forward was replaced, whose effect is not known; restore it")
    hooks = [*module._forward_hooks.values(), *modules._global_forward_hooks.values()]
    hooks += modules._global_forward_pre_hooks.values()
    hooks += [hook for hook in module._forward_pre_hooks.values() if _computed_by(hook) is None]
    if hooks:
        name = getattr(hooks[0], "__qualname__", type(hooks[0]).__name__)
        raise InputError(
            f"{path}: has the forward hook {name}, whose effect is not known; remove the hook first"
        )


def current_parameter(module: Any, name: str, path: str) -> NDArray[Any] | None:
    """
    `weight` or `bias` of a module in its next forward pass in eval mode, or None.

    path: of the module in the model, the beginning of the message of an InputError

    The attribute may be out of date: pruning, weight_norm and spectral_norm of torch.nn.utils set
    it in a forward pass only, and parametrizations may depend on the mode. The module is not
    changed. InputError as in `tensor_array`.
    """
    import torch

    label = f"{path}.{name}"
    hooks = [hook for hook in module._forward_pre_hooks.values() if _computed_by(hook) == name]
    if len(hooks) > 1:
        raise InputError(f"{label}: more than one hook computes it; remove all but one")
    for other in module._forward_pre_hooks.values():
        if _computed_by(other) not in ("weight", "bias"):
            raise InputError(
                f"{path}: a hook computes {_computed_by(other)}, on which other parameters depend; "
                "make it permanent, as with torch.nn.utils.prune.remove"
            )
    try:
        with torch.no_grad():
            tensor = _compute(module, name, hooks)
    except Exception as error:
        # Parametrizations are user code, which may raise any exception.
        reason = first_line(error)
        raise InputError(f"{label}: cannot be computed: {reason:.200}") from error
    return None if tensor is None else tensor_array(tensor, label)


def is_parametrized(module: Any, cls: type) -> bool:
    """Whether the module is one of exactly `cls` to which parametrizations were registered."""
    from torch.nn.utils import parametrize

    parametrized = type(module)  # created by torch.nn.utils.parametrize
    return (
        parametrize.is_parametrized(module)
        and parametrized.__bases__ == (cls,)
        and parametrized.forward is cls.forward  # type: ignore[attr-defined]
    )


def _computed_by(hook: Any) -> str | None:
    """The parameter that a forward pre-hook of torch.nn.utils computes, or None for other hooks."""
    from torch.nn.utils.prune import BasePruningMethod
    from torch.nn.utils.spectral_norm import SpectralNorm
    from torch.nn.utils.weight_norm import WeightNorm

    if type(hook) in (SpectralNorm, WeightNorm):
        return str(hook.name)
    if isinstance(hook, BasePruningMethod) and type(hook).__call__ is BasePruningMethod.__call__:
        return str(hook._tensor_name)
    return None


def _compute(module: Any, name: str, hooks: list[Any]) -> Any:
    """The tensor of a parameter. hooks: those that compute it, at most one"""
    from torch.nn.utils import parametrize
    from torch.nn.utils.prune import BasePruningMethod
    from torch.nn.utils.spectral_norm import SpectralNorm

    if parametrize.is_parametrized(module, name):
        # A copy, because some parametrizations change their state in train mode.
        return copy.deepcopy(module.parametrizations[name]).eval()()
    if not hooks:
        return getattr(module, name)
    if isinstance(hooks[0], BasePruningMethod):
        return hooks[0].apply_mask(module)
    if isinstance(hooks[0], SpectralNorm):
        return hooks[0].compute_weight(module, do_power_iteration=False)
    return hooks[0].compute_weight(module)
