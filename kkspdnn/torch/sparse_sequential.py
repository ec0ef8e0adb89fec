"""A module of PyTorch for inference with a sparse network."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor, fx, nn

from kkspdnn.choices import Exits, SpaceName
from kkspdnn.errors import InputError
from kkspdnn.io.pytorch import RowShape, convert_model
from kkspdnn.model.network import Network
from kkspdnn.predictor import Predictor
from kkspdnn.torch.saved_network import network_state, restored_network

_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)

_NEEDED: Mapping[RowShape, str] = {
    "any": "(..., {})",
    "matrix": "(rows, {})",
    "flatten": "(rows, ...) with {} elements a row",
    "split": "a multiple of {} elements",
}
"""The shape of the inputs of a model, for messages."""


class SparseSequential(nn.Module):  # type: ignore[misc]
    """A PyTorch module that computes the outputs of a model with sparse weights, for inference.

    It takes the place of a model or of a part of one. The weights are prepared once, and weights of
    0 take no time. The model may be deleted afterwards; changes to it have no effect.

    model: a torch.nn.Module as in `from_torch`, in any mode
    space, exits, threads, device, memory, tune: as in `Predictor`, with the same errors

    `forward(x)` takes and returns tensors of the dtype of the model. x has the shape (..., inputs)
    as for nn.Linear; exactly two axes if the model has a BatchNorm1d; or (rows, ...) if the model
    begins with Flatten. float16 and bfloat16 are computed in float32. With space="cuda", the
    outputs are on the device of x, otherwise x must be on the CPU. Every value must be finite.

    There are no parameters and no gradients: x must not require gradients where they are enabled.
    The module is created in eval mode. `train()` sets the mode, but forward in train mode raises
    InputError. `to`, `half`, `float` and `double` change the dtype; float64 prepares the network
    again. `state_dict` has the network, without the options, under the key `_extra_state`, and
    `load_state_dict` replaces the network by one with as many inputs and outputs. A module can be
    copied and pickled; it is prepared again in the process that loads it. torch.compile leaves it
    out of its graphs; torch.jit.trace and torch.export raise InputError.

    Raises InputError for models and inputs that are not supported, and as `Predictor`.
    """

    def __init__(
        self,
        model: Any,
        *,
        space: SpaceName = "openmp",
        exits: Exits = "all",
        threads: int | None = None,
        device: int | None = None,
        memory: float | None = None,
        tune: bool = True,
    ) -> None:
        super().__init__()
        converted = convert_model(model, name=type(model).__name__)
        self._row_shape = converted.row_shape
        self._dtype = _dtype_of(model, converted.network)
        self._options: dict[str, Any] = {
            "space": space,
            "exits": exits,
            "threads": threads,
            "device": device,
            "memory": memory,
            "tune": tune,
        }
        self._prepare(converted.network)
        self.eval()

    @property
    def in_features(self) -> int:
        """The number of neurons of an input row."""
        return self._network.inputs

    @property
    def out_features(self) -> int:
        """The number of neurons of an output row."""
        return self._network.outputs

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of rows x, see the class."""
        if torch.compiler.is_compiling():
            # Releases before 2.7 have no is_exporting.
            if getattr(torch.compiler, "is_exporting", bool)():
                raise InputError("SparseSequential cannot be exported; export the dense model")
            # It must not trace NumPy code. As a decorator, disable would import torch._dynamo,
            # which takes seconds.
            return torch.compiler.disable(self._forward)(x)
        if torch.jit.is_tracing():
            # The trace would hold the outputs of this x as a constant.
            raise InputError("SparseSequential cannot be traced; trace the dense model")
        return self._forward(x)

    def _forward(self, x: Tensor) -> Tensor:
        self._check(x)
        rows, shape = self._rows(x)
        if self._dtype in (torch.float16, torch.bfloat16):
            rows = rows.to(torch.float32)
        outputs: Tensor = self._predictor(rows)
        if outputs.dtype is not x.dtype:
            outputs = outputs.to(x.dtype)
        return outputs if shape is None else outputs.reshape(shape)

    def extra_repr(self) -> str:
        network = self._network
        weights = sum(layer.inputs * layer.outputs for layer in network.layers)
        return (
            f"in_features={network.inputs}, out_features={network.outputs}, "
            f"layers={len(network.layers)}, edges={network.edges}, "
            f"density={network.edges / weights:.3g}, space={self._options['space']!r}"
        )

    def get_extra_state(self) -> dict[str, Any]:
        return network_state(self._network)

    def set_extra_state(self, state: Any) -> None:
        network = restored_network(state)
        saved, own = (network.inputs, network.outputs), (self.in_features, self.out_features)
        if saved != own:
            raise InputError(
                f"the state has {saved[0]} inputs and {saved[1]} outputs, the module {own[0]} and "
                f"{own[1]}; they must be equal"
            )
        self._prepare(network.astype(self._network.dtype))

    def _prepare(self, network: Network) -> None:
        self._predictor = Predictor(network, **self._options)
        self._network = network

    def _check(self, x: Tensor) -> None:
        """Raise InputError unless x, and the mode, are those of inference."""
        if self.training:
            raise InputError("SparseSequential is for inference only; call eval() before forward")
        if not isinstance(x, Tensor):
            if isinstance(x, fx.Proxy):
                raise InputError("SparseSequential cannot be traced; trace the dense model")
            raise InputError(f"x is a {type(x).__name__}; give a torch.Tensor")
        if x.dtype is not self._dtype:
            raise InputError(
                f"x is {x.dtype}, the module {self._dtype}; convert x with x.to({self._dtype})"
            )
        if x.layout is not torch.strided:
            raise InputError(f"x is a {x.layout} tensor; use x.to_dense()")
        if not x.is_cpu and self._options["space"] != "cuda":
            raise InputError(
                f"x is on {x.device}, the module on the CPU; use x.cpu(), or compile the model "
                "with space='cuda'"
            )
        if x.requires_grad and torch.is_grad_enabled():
            raise InputError(
                "x requires gradients, which SparseSequential does not compute; use x.detach() or "
                "torch.inference_mode()"
            )

    def _rows(self, x: Tensor) -> tuple[Tensor, tuple[int, ...] | None]:
        """Return the input rows of x, and the shape of the outputs; None: (rows, outputs)."""
        axes, inputs = x.shape, self._network.inputs
        rows = x.detach() if x.requires_grad else x
        if len(axes) == 2 and axes[1] == inputs:
            return rows.contiguous(), None
        if not self._fits(axes):
            needed = _NEEDED[self._row_shape].format(inputs)
            raise InputError(f"x has the shape {tuple(axes)}; the model takes {needed}")
        shape = (*axes[:-1], self._network.outputs) if self._row_shape == "any" else None
        return rows.reshape(-1, inputs), shape

    def _fits(self, axes: torch.Size) -> bool:
        """Return whether inputs of this shape have rows; those of (rows, inputs) always do."""
        inputs = self._network.inputs
        if self._row_shape == "any":
            return len(axes) > 0 and axes[-1] == inputs
        if self._row_shape == "flatten":
            return len(axes) > 1 and prod(axes[1:]) == inputs
        return self._row_shape == "split" and prod(axes) % inputs == 0

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """Change the dtype, for `to`, `half`, `cuda` and the like: fn converts a tensor."""
        result = fn(torch.empty(0, dtype=self._dtype))
        if result.device.type != "cpu" and self._options["space"] != "cuda":
            raise InputError(
                f"the module cannot move to {result.device}; compile the model with space='cuda'"
            )
        if result.dtype not in _DTYPES:
            raise InputError(f"the module cannot be {result.dtype}; use one of {_DTYPES}")
        wide = "float64" if result.dtype is torch.float64 else "float32"
        if self._network.dtype != wide:
            self._prepare(self._network.astype(wide))
        self._dtype = result.dtype
        return super()._apply(fn, recurse)


def _dtype_of(model: Any, network: Network) -> torch.dtype:
    """Return the dtype of the parameters of a model, or of its network if it has none."""
    found = [each.dtype for each in model.parameters() if each.dtype in _DTYPES]
    return found[0] if found else getattr(torch, str(network.dtype))
