"""Tensors of PyTorch as NumPy arrays: those that a module would use in its next forward pass."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.errors import InputError

_EXACT_IN_FLOAT32 = ("float16", "bfloat16")
_AS_THEY_ARE = ("float32", "float64", "bool", "uint8", "int8", "int16", "int32", "int64")


def tensor_array(tensor: Any, what: str) -> NDArray[Any]:
    """
    A copy of a dense tensor of real numbers as an array; float16 and bfloat16 become float32.

    InputError, beginning with `what`, for every other type, for quantized, sparse and meta tensors,
    and for subclasses of torch.Tensor, whose arithmetic is their own.
    """
    import torch

    if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        raise InputError(f"{what}: {type(tensor).__name__}; a torch.Tensor is needed")
    if tensor.layout != torch.strided:
        raise InputError(f"{what}: {tensor.layout} tensor; call .to_dense() on it first")
    if tensor.device.type == "meta":
        raise InputError(f"{what}: on the meta device, without values; load the weights first")
    kind = str(tensor.dtype).removeprefix("torch.")
    if kind not in (*_EXACT_IN_FLOAT32, *_AS_THEY_ARE):
        raise InputError(f"{what}: {kind} values; convert them to float32 or float64 first")
    held = tensor.detach().to("cpu").resolve_neg()
    if kind in _EXACT_IN_FLOAT32:
        held = held.to(torch.float32)
    return np.array(held.numpy())


def check_hooks(module: Any, where: str) -> None:
    """
    Raise InputError where a module does more in a forward pass than its class says.

    Hooks that compute a parameter (`current_parameter` knows which) are no hindrance.
    """
    from torch.nn.modules import module as modules

    if "forward" in vars(module):
        raise InputError(f"{where}: its forward was replaced; from_torch cannot see what it does")
    hooks = [*module._forward_hooks.values(), *modules._global_forward_hooks.values()]
    hooks += modules._global_forward_pre_hooks.values()
    hooks += [each for each in module._forward_pre_hooks.values() if _computes(each) is None]
    if hooks:
        name = getattr(hooks[0], "__qualname__", type(hooks[0]).__name__)
        raise InputError(
            f"{where}: has the forward hook {name}, and from_torch cannot see what it does; "
            "remove the hook first"
        )


def current_parameter(module: Any, name: str, where: str) -> NDArray[Any] | None:
    """
    `weight` or `bias` of a module as the next forward pass in eval mode would use it, or None.

    The attribute itself may be stale: pruning, weight_norm and spectral_norm of torch.nn.utils set
    it in a forward pass only, and parametrizations may depend on the mode. The module is not
    changed. InputError as in `tensor_array`.
    """
    import torch

    what = f"{where}.{name}"
    hooks = [each for each in module._forward_pre_hooks.values() if _computes(each) == name]
    if len(hooks) > 1:
        raise InputError(f"{what}: more than one hook computes it; remove all but one")
    for other in module._forward_pre_hooks.values():
        if _computes(other) not in ("weight", "bias"):
            raise InputError(
                f"{where}: a hook computes {_computes(other)}, of which others depend; "
                "make it permanent with torch.nn.utils.prune.remove or its like"
            )
    try:
        with torch.no_grad():
            tensor = _computed(module, name, hooks)
    except Exception as error:
        # Parametrizations are the user's code.
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{what}: cannot be computed: {said:.200}") from error
    return None if tensor is None else tensor_array(tensor, what)


def is_parametrized(module: Any, kind: type) -> bool:
    """Whether torch.nn.utils.parametrize turned a module of exactly this class into its own."""
    from torch.nn.utils import parametrize

    made = type(module)
    return (
        parametrize.is_parametrized(module)
        and made.__bases__ == (kind,)
        and made.forward is kind.forward  # type: ignore[attr-defined]
    )


def _computes(hook: Any) -> str | None:
    """The parameter that a known pre-forward hook of torch.nn.utils computes, None for others."""
    from torch.nn.utils.prune import BasePruningMethod
    from torch.nn.utils.spectral_norm import SpectralNorm
    from torch.nn.utils.weight_norm import WeightNorm

    if type(hook) in (SpectralNorm, WeightNorm):
        return str(hook.name)
    if isinstance(hook, BasePruningMethod) and type(hook).__call__ is BasePruningMethod.__call__:
        return str(hook._tensor_name)
    return None


def _computed(module: Any, name: str, hooks: list[Any]) -> Any:
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
