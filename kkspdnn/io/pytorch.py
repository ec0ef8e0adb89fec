"""Networks from PyTorch models: a Sequential of Linear layers with ReLU between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from kkspdnn.errors import InputError
from kkspdnn.io.pytorch_tensors import check_hooks, current_parameter, is_parametrized
from kkspdnn.model.ieee import ieee_arithmetic
from kkspdnn.model.network import Layer, Network, network


@ieee_arithmetic()
def from_torch(model: Any, *, name: str = "torch") -> Network:
    """
    The network that computes what `model.eval()` does, within rounding.

    model: a torch.nn.Linear, or a torch.nn.Sequential, also of such, of Linear with ReLU or ReLU6
    after them or not; Dropout, Identity and a leading Flatten change nothing. A module may stand at
    several places. Weights that are 0, as of a pruned model, are no edges. Pruning, weight_norm and
    spectral_norm of torch.nn.utils and parametrizations are computed anew, as a forward pass does;
    the model is not changed. float32, also for float16 and bfloat16, or float64 where the model is.

    InputError naming the first module that is none of these or has a forward hook, an activation
    before the first Linear, ReLU beside ReLU6, layers of different types, and PyTorch where it is
    not installed.
    """
    try:
        from torch import nn
    except ModuleNotFoundError as error:
        raise InputError("from_torch needs PyTorch: pip install 'kkspdnn[torch]'") from error
    layers: list[Layer] = []
    limits: set[float | None] = set()
    known = (nn.Linear, nn.ReLU, nn.ReLU6, nn.Identity, nn.Dropout, nn.Flatten)
    for where, module in _flat(model, type(model).__name__):
        kind = nn.Linear if is_parametrized(module, nn.Linear) else type(module)
        if kind not in known or (kind is nn.Flatten and layers):
            raise InputError(
                f"{where} ({kind.__name__}) is not supported; a Sequential of Linear, ReLU, ReLU6, "
                "Dropout and Identity is"
            )
        check_hooks(module, where)
        if kind is nn.Linear:
            layers.append(_linear(module, where))
        elif kind in (nn.ReLU, nn.ReLU6):
            if not layers:
                raise InputError(f"{where} ({kind.__name__}) comes before the first Linear")
            layers[-1] = replace(layers[-1], activation="relu")
            limits.add(6.0 if kind is nn.ReLU6 else None)
            if len(limits) > 1:
                raise InputError(f"{where}: ReLU and ReLU6 in one model; a network has one limit")
        elif kind is nn.Flatten and (module.start_dim, module.end_dim) != (1, -1):
            raise InputError(
                f"{where}: Flatten({module.start_dim}, {module.end_dim}); only Flatten(1, -1) "
                "keeps rows as they are"
            )
    if not layers:
        raise InputError("the model has no Linear layer")
    return network(layers, limits.pop() if limits else None, name=name)


def _flat(module: Any, where: str) -> Iterator[tuple[str, Any]]:
    """
    The modules in the order of a forward pass, with their names; a Sequential stands for its own.

    A module that stands at several places comes as often, which named_children() leaves out.
    """
    from torch import nn

    if type(module) is not nn.Sequential:
        yield where, module
        return
    check_hooks(module, where)
    for name, child in module._modules.items():
        yield from _flat(child, f"{where}.{name}")


def _linear(module: Any, where: str) -> Layer:
    weight = current_parameter(module, "weight", where)
    bias = current_parameter(module, "bias", where)
    if weight is None:
        raise InputError(f"{where}: its weight is None")
    return Layer.from_sparse(
        weight.T, 0.0 if bias is None else bias, activation="linear", bias_to="all", name=where
    )
