"""Networks from PyTorch models: Sequential modules of Linear layers and ReLUs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from kkspdnn.errors import InputError
from kkspdnn.io.pytorch_tensors import check_hooks, current_parameter, is_parametrized
from kkspdnn.model.ieee import ieee_arithmetic
from kkspdnn.model.layers import Layer
from kkspdnn.model.network import Network, network


@ieee_arithmetic()
def from_torch(model: Any, *, name: str = "torch") -> Network:
    """
    The network that computes the outputs of `model.eval()`, up to rounding.

    model: a torch.nn.Linear, or a torch.nn.Sequential, possibly nested, of Linear, ReLU, ReLU6,
    Dropout, Identity and a leading Flatten; a module may occur more than once

    Weights of 0, as in a pruned model, are dropped. Pruning, weight_norm and spectral_norm of
    torch.nn.utils and parametrizations are computed as in a forward pass. The model is not changed.
    The dtype is float64 if that of the model is, else float32.

    InputError naming the first module that is not supported or has a forward hook; for an
    activation before the first Linear, for ReLU and ReLU6 in one model, for layers of different
    dtypes, and if PyTorch is not installed.
    """
    try:
        from torch import nn
    except ModuleNotFoundError as error:
        raise InputError("from_torch needs PyTorch: pip install 'kkspdnn[torch]'") from error
    layers: list[Layer] = []
    limits: set[float | None] = set()
    supported = (nn.Linear, nn.ReLU, nn.ReLU6, nn.Identity, nn.Dropout, nn.Flatten)
    for path, module in _flatten(model, type(model).__name__):
        cls = nn.Linear if is_parametrized(module, nn.Linear) else type(module)
        if cls not in supported or (cls is nn.Flatten and layers):
            raise InputError(
                f"{path} ({cls.__name__}) is not supported; use a Sequential of Linear, ReLU, "
                "ReLU6, Dropout and Identity"
            )
        check_hooks(module, path)
        if cls is nn.Linear:
            layers.append(_linear(module, path))
        elif cls in (nn.ReLU, nn.ReLU6):
            if not layers:
                raise InputError(f"{path} ({cls.__name__}) comes before the first Linear")
            layers[-1] = replace(layers[-1], activation="relu")
            limits.add(6.0 if cls is nn.ReLU6 else None)
            if len(limits) > 1:
                raise InputError(f"{path}: ReLU and ReLU6 in one model; use one of them")
        elif cls is nn.Flatten and (module.start_dim, module.end_dim) != (1, -1):
            raise InputError(
                f"{path}: Flatten({module.start_dim}, {module.end_dim}); only Flatten(1, -1) "
                "keeps the rows"
            )
    if not layers:
        raise InputError("the model has no Linear layer")
    return network(layers, limits.pop() if limits else None, name=name)


def _flatten(module: Any, path: str) -> Iterator[tuple[str, Any]]:
    """
    The modules within nested Sequentials in the order of a forward pass, with their paths.

    A module that occurs more than once is repeated, unlike in named_children().
    """
    from torch import nn

    if type(module) is not nn.Sequential:
        yield path, module
        return
    check_hooks(module, path)
    for name, child in module._modules.items():
        yield from _flatten(child, f"{path}.{name}")


def _linear(module: Any, path: str) -> Layer:
    weight = current_parameter(module, "weight", path)
    bias = current_parameter(module, "bias", path)
    if weight is None:
        raise InputError(f"{path}: its weight is None; set a weight")
    return Layer.from_sparse(
        weight.T, 0.0 if bias is None else bias, activation="linear", bias_to="all", name=path
    )
