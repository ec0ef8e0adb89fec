"""Modules made from a model are refused, and the message says which model to pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import kkspdnn as kk
from kkspdnn.errors import InputError

torch = pytest.importorskip("torch", reason="no torch: pip install torch")
nn = torch.nn


def dense() -> Any:
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU())


def quantized() -> Any:
    return torch.ao.quantization.quantize_dynamic(dense(), {nn.Linear})


def distributed() -> Any:
    """A module of that class, whose constructor needs a process group."""
    module = nn.parallel.DistributedDataParallel.__new__(nn.parallel.DistributedDataParallel)
    nn.Module.__init__(module)
    return module


WRAPPERS: list[tuple[Callable[[], Any], str]] = [
    (lambda: kk.compile(dense()), "model is a SparseSequential already; pass the dense model"),
    (
        lambda: nn.Sequential(kk.compile(dense()), nn.ReLU()),
        "Sequential.0 is a SparseSequential already; pass the dense model",
    ),
    (
        lambda: torch.jit.script(dense()),
        "model is a TorchScript module; pass the model before torch.jit.script",
    ),
    (
        lambda: nn.Sequential(torch.jit.trace(dense(), torch.zeros(1, 4))),
        "Sequential.0 is a TorchScript module; pass the model before torch.jit.script",
    ),
    (quantized, "Sequential.0 is a quantized Linear, and quantized modules are not supported"),
    (lambda: quantized()[0], "model is a quantized Linear, and quantized modules are not support"),
    (lambda: nn.DataParallel(dense()), "model is a DataParallel; pass model.module"),
    (distributed, "model is a DistributedDataParallel; pass model.module"),
]


def test_a_class_of_the_user_in_a_module_of_that_name_is_converted() -> None:
    class Net(nn.Sequential):
        __module__ = "mine.quantized"

    assert kk.from_torch(Net(nn.Linear(4, 3))).outputs == 3


@pytest.mark.parametrize("convert", [kk.from_torch, kk.compile])
@pytest.mark.parametrize(("make", "message"), WRAPPERS, ids=[each[1] for each in WRAPPERS])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of PyTorch
def test_wrappers_are_refused(
    make: Callable[[], Any], message: str, convert: Callable[[Any], Any]
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        convert(make())
    assert "\n" not in str(caught.value)
