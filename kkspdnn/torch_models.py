"""Networks from PyTorch models: a Sequential of Linear layers with ReLU between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from kkspdnn.errors import InputError
from kkspdnn.networks import Layer, Network, network
from kkspdnn.pruning.dense_files import tensor_array


def from_torch(model: Any, *, name: str = "torch") -> Network:
    """
    The network that computes what `model.eval()` does, within rounding.

    model: a torch.nn.Linear, or a torch.nn.Sequential, also of such, of Linear with ReLU or ReLU6
    after them or not; Dropout, Identity and a leading Flatten change nothing. Weights that are 0,
    as of a pruned model, are no edges. float32, or float64 where the model is.

    InputError naming the first module that is none of these, an activation before the first Linear,
    ReLU beside ReLU6, layers of different types, and PyTorch where it is not installed.
    """
    try:
        from torch import nn
    except ModuleNotFoundError as error:
        raise InputError("from_torch needs PyTorch: pip install 'kkspdnn[torch]'") from error
    layers: list[Layer] = []
    limits: set[float | None] = set()
    for where, module in _flat(model, nn.Sequential, type(model).__name__):
        kind = type(module)
        if kind is nn.Linear:
            layers.append(_linear(module, where))
        elif kind in (nn.ReLU, nn.ReLU6):
            if not layers:
                raise InputError(f"{where} ({kind.__name__}) comes before the first Linear")
            layers[-1] = replace(layers[-1], activation="relu")
            limits.add(6.0 if kind is nn.ReLU6 else None)
            if len(limits) > 1:
                raise InputError(f"{where}: ReLU and ReLU6 in one model; a network has one limit")
        elif kind not in (nn.Identity, nn.Dropout) and not (kind is nn.Flatten and not layers):
            raise InputError(
                f"{where} ({kind.__name__}) is not supported; a Sequential of Linear, ReLU, ReLU6, "
                "Dropout and Identity is"
            )
    if not layers:
        raise InputError("the model has no Linear layer")
    return network(layers, limits.pop() if limits else None, name=name)


def _flat(module: Any, sequential: Any, where: str) -> Iterator[tuple[str, Any]]:
    """The modules in order, with their names, those of Sequentials in place of these."""
    if type(module) is not sequential:
        yield where, module
        return
    for name, child in module.named_children():
        yield from _flat(child, sequential, f"{where}.{name}")


def _linear(module: Any, where: str) -> Layer:
    bias = 0.0 if module.bias is None else tensor_array(module.bias)
    return Layer.from_sparse(
        tensor_array(module.weight).T, bias, activation="linear", bias_to="all", name=where
    )
