"""Reader of the state_dict in a file of torch.save, without running code of the file."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from kkspdnn.device.memory import Budget
from kkspdnn.errors import InputError, printable
from kkspdnn.io.numpy_files import describe_content
from kkspdnn.io.pytorch_tensors import tensor_array

_SAVE = "torch.save(model.state_dict(), FILE)"
_REFUSED_CLASS = re.compile(r"\bUnsupported (?:global: GLOBAL|class) ([\w.]+)")
"""The class in the message of PyTorch for an object that only code of the file can create."""


def read_state_dict(file: Path, budget: Budget) -> dict[str, NDArray[Any]]:
    """
    The tensors in a file by name, as arrays.

    InputError naming the file for another content than a dict of tensors, such as a whole model or
    a checkpoint, for a file that needs more memory than the budget, and if PyTorch is not
    installed.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        raise InputError(f"{file}: needs PyTorch: pip install torch") from error
    _check_archive(file, budget)
    try:
        with warnings.catch_warnings():
            # Of formats that are refused below.
            warnings.simplefilter("ignore")
            # weights_only loads tensors and plain containers, but runs no code of the file.
            loaded = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        # The unpickler raises many exceptions for a damaged file.
        raise InputError(f"{file}: {_reason(error)}") from error
    if not _is_state_dict(loaded):
        raise InputError(f"{file}: not a dict of tensors; {_remedy(loaded)}")
    # A tensor may be larger than its stored numbers, if it is an expanded view.
    total = sum(value.numel() * max(4, value.element_size()) for value in loaded.values())
    budget.require(total, f"{file}: its tensors")
    return {key: tensor_array(value, key) for key, value in loaded.items()}


def _check_archive(file: Path, budget: Budget) -> None:
    """Raise InputError if a file is not one of torch.save, or needs more memory than the budget."""
    with file.open("rb") as opened:
        head = opened.read(64)
        content = describe_content(head)
        # PyTorch before 1.6 wrote plain pickles, which weights_only reads safely as well.
        if content is not None and not head.startswith((b"PK", b"\x80")):
            raise InputError(f"{file}: not a file of torch.save: it is {content}")
        if head.startswith(b"PK"):
            with zipfile.ZipFile(opened) as archive:
                total = sum(member.file_size for member in archive.infolist())
            budget.require(total, f"{file}: its tensors")


def _reason(error: Exception) -> str:
    """Why PyTorch refuses a file, without its advice on running the code of the file."""
    text = str(error)
    refused = _REFUSED_CLASS.search(text)
    if "TorchScript" in text or (refused and refused[1].startswith("torch.nn.")):
        return f"holds a whole model, which could run code; save its weights with {_SAVE}"
    if refused:
        return (
            f"holds an object of {refused[1]}, such as a whole model, which could run code; save "
            f"the weights with {_SAVE}"
        )
    lines = text.rpartition("WeightsUnpickler error:")[2].strip().splitlines()
    reason = printable(lines[0] if lines else type(error).__name__)
    return f"not a state_dict, or damaged: {reason:.100}; write it with {_SAVE}"


def _is_state_dict(loaded: object) -> bool:
    import torch

    return isinstance(loaded, Mapping) and all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in loaded.items()
    )


def _remedy(loaded: object) -> str:
    """What to save instead; a checkpoint of a training usually has the state_dict as an entry."""
    entries = loaded.items() if isinstance(loaded, Mapping) else ()
    for key, value in entries:
        if _is_state_dict(value) and value:
            return f"its entry {key!r} is a state_dict: save that alone"
    return f"write it with {_SAVE}"
