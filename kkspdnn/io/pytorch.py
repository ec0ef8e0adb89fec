"""Networks from PyTorch models that are a chain of Linear, BatchNorm1d, ReLU and the like."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, Literal

from kkspdnn.errors import InputError
from kkspdnn.io.layer_chain import Affine, Clamp, Linear, Step, batch_norm, chain_network
from kkspdnn.io.output_functions import are_output_functions
from kkspdnn.io.pytorch_tensors import (
    check_hooks,
    current_parameter,
    is_parametrized,
    tensor_array,
)
from kkspdnn.io.torch_trace import BATCH, Call, trace_calls
from kkspdnn.model.ieee import ieee_arithmetic
from kkspdnn.model.network import Network

RowShape = Literal["any", "matrix", "flatten", "split"]
"""How a model makes rows of its input: any: the last axis has the neurons, as in nn.Linear; matrix:
as any, but with two axes only, as in nn.BatchNorm1d; flatten: the first axis has the rows; split:
the elements are split into rows, as by x.view(-1, neurons)."""


@dataclass(frozen=True, eq=False)
class ConvertedModel:
    """The network of a PyTorch model, and how the model makes rows of its input."""

    network: Network
    row_shape: RowShape


def from_torch(model: Any, *, name: str = "torch") -> Network:
    """Convert a PyTorch model into the network that computes `model.eval()`, up to rounding.

    model: a torch.nn.Module whose forward is a chain of Linear, BatchNorm1d, ReLU, ReLU6,
    Hardtanh(0, m), Dropout and Identity modules, with a Flatten at the beginning: a Linear, a
    Sequential, possibly nested, or a class of your own that calls them and relu, relu6,
    clamp(0, m), dropout, flatten and view
    name: the name of the network

    A BatchNorm1d is folded into the Linear before it, or after a ReLU into the Linear after it, in
    float64 and with its running statistics. A module may occur more than once. Weights of 0, as in
    a pruned model, are dropped. Pruning, weight_norm and spectral_norm of torch.nn.utils and
    parametrizations are computed as in a forward pass. The model is not changed. The dtype is
    float64 if that of the model is, else float32.

    Raises InputError naming the first module or call that is not supported, not one of a chain, or
    has a forward hook; for an activation before the first Linear, for different upper limits of
    activations, for layers of different dtypes, for a BatchNorm1d without running statistics, for a
    SparseSequential and scripted, quantized and parallel modules, and if PyTorch is not installed.
    """
    return convert_model(model, name=name).network


@ieee_arithmetic()
def convert_model(model: Any, *, name: str = "torch") -> ConvertedModel:
    """As `from_torch`, but return also how the model makes rows of its input."""
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        raise InputError("from_torch needs PyTorch: pip install torch") from error
    steps: list[Step] = []
    row_shape: RowShape = "any"
    neurons: int | None = None
    calls = trace_calls(model)
    for number, call in enumerate(calls):
        if are_output_functions(_kind(each) for each in calls[number:]):
            raise _output_functions(calls[number:], model)
        found = _reshaped(call)
        if found is None:
            step = _step(call)
            steps += [] if step is None else [step]
        elif steps or row_shape != "any":
            raise InputError(f"{call.label}: a flatten or view is supported as the first step only")
        else:
            row_shape, neurons = found
    network = chain_network(steps, name=name, row_neurons=neurons)
    if row_shape == "any" and any(isinstance(step, Affine) for step in steps):
        row_shape = "matrix"
    return ConvertedModel(network, row_shape)


def _step(call: Call) -> Step | None:
    """Return the step that a call computes in eval mode; None if it computes nothing."""
    from torch import nn

    module = call.target
    if isinstance(module, str):
        return _function_step(call, module)
    cls = nn.Linear if is_parametrized(module, nn.Linear) else type(module)
    convert = {
        nn.Linear: _linear,
        nn.BatchNorm1d: _batch_norm,
        nn.ReLU: lambda module, path: Clamp(0.0, None, path),
        nn.ReLU6: lambda module, path: Clamp(0.0, 6.0, path),
        nn.Hardtanh: lambda module, path: Clamp(module.min_val, module.max_val, path),
        nn.Identity: None,
        nn.Dropout: None,
    }
    if cls not in convert:
        raise _unsupported(f"{call.label} ({cls.__name__})")
    check_hooks(module, call.label)
    function: Callable[[Any, str], Step] | None = convert[cls]
    return None if function is None else function(module, call.label)


def _function_step(call: Call, name: str) -> Step | None:
    """As `_step`, for functions and methods of tensors."""
    if name in ("relu", "relu_"):
        return Clamp(0.0, None, call.label)
    if name == "relu6":
        return Clamp(0.0, 6.0, call.label)
    if name in ("clamp", "clamp_", "clip", "clip_"):
        given = _bind(call, ("min", "max"))
        limits = [given.get("min"), given.get("max")]
        if all(limit is None or isinstance(limit, int | float) for limit in limits):
            lower, upper = (None if limit is None else float(limit) for limit in limits)
            return Clamp(lower, None if upper == inf else upper, call.label)
    if name == "dropout" and _bind(call, ("p", "training")).get("training", True) is False:
        return None
    if name == "dropout":
        raise InputError(
            f"{call.label}: drops values in eval mode too; pass training=self.training"
        )
    if name == "contiguous":
        return None
    raise _unsupported(call.label)


def _kind(call: Call) -> str:
    """Return the name of the function, method or class of module that is called."""
    return call.target if isinstance(call.target, str) else type(call.target).__name__


def _output_functions(calls: Sequence[Call], model: Any) -> InputError:
    """Return the error for a model that ends with these calls, such as softmax."""
    from torch import nn

    label, kind = calls[0].label, _kind(calls[0])
    label = label if calls[0].target == kind else f"{label} ({kind})"
    remedy = "leave it out of the model, and apply it to the outputs"
    if type(model) is nn.Sequential and all(each.label.count(".") == 1 for each in calls):
        modules = ", ".join(f"nn.{each.target!r}" for each in calls)
        compiled = f"kk.compile(model[:-{len(calls)}])"
        remedy = f"apply it to the outputs: nn.Sequential({compiled}, {modules})"
    return InputError(f"{label} is not supported; {remedy}")


def _unsupported(label: str) -> InputError:
    return InputError(
        f"{label} is not supported; supported are Linear, BatchNorm1d, ReLU, ReLU6, "
        "Hardtanh(0, m), clamp(0, m), Dropout, Identity, and a Flatten at the beginning"
    )


def _bind(call: Call, names: Sequence[str]) -> Mapping[str, Any]:
    """Return the arguments of a call by name. names: those after the tensor"""
    return {**dict(zip(names, call.arguments, strict=False)), **call.keywords}


def _reshaped(call: Call) -> tuple[RowShape, int | None] | None:
    """Return how a call makes rows of its input, and of how many neurons, if it says that; None if
    the call does not reshape its input."""
    from torch import nn

    if type(call.target) is nn.Flatten:
        check_hooks(call.target, call.label)
        axes = (call.target.start_dim, call.target.end_dim)
    elif call.target == "flatten":
        given = _bind(call, ("start_dim", "end_dim"))
        axes = (given.get("start_dim", 0), given.get("end_dim", -1))
    elif call.target in ("view", "reshape"):
        return _view(call)
    else:
        return None
    if axes != (1, -1):
        raise InputError(
            f"{call.label}: Flatten({axes[0]}, {axes[1]}); only Flatten(1, -1) keeps the rows"
        )
    return "flatten", None


def _view(call: Call) -> tuple[RowShape, int | None]:
    """As `_reshaped`, for x.view and x.reshape."""
    shape = call.arguments
    if len(shape) == 1 and isinstance(shape[0], tuple | list):
        shape = tuple(shape[0])
    if shape == (BATCH, -1):
        return "flatten", None
    if len(shape) == 2 and shape[0] in (BATCH, -1) and isinstance(shape[1], int) and shape[1] > 0:
        return "flatten" if shape[0] == BATCH else "split", shape[1]
    raise InputError(f"{call.label}: only the shapes (x.size(0), -1) and (-1, n) are supported")


def _linear(module: Any, path: str) -> Linear:
    weight = current_parameter(module, "weight", path)
    if weight is None:
        raise InputError(f"{path}: its weight is None; set a weight")
    return Linear(weight.T, current_parameter(module, "bias", path), path)


def _batch_norm(module: Any, path: str) -> Affine:
    if module.running_mean is None or module.running_var is None:
        raise InputError(
            f"{path}: a BatchNorm1d without running statistics depends on the other rows; use "
            "track_running_stats=True"
        )
    if not (isfinite(module.eps) and module.eps >= 0):
        raise InputError(f"{path}: eps {module.eps}: it must be finite and not negative")
    return batch_norm(
        tensor_array(module.running_mean, f"{path}.running_mean"),
        tensor_array(module.running_var, f"{path}.running_var"),
        module.eps,
        current_parameter(module, "weight", path),
        current_parameter(module, "bias", path),
        path,
    )
