"""Arrays from .safetensors files, bfloat16 too, for which NumPy has no type."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.device.memory import Budget
from kkspdnn.errors import InputError
from kkspdnn.io.numpy_files import describe_content

_TYPES: Mapping[str, str] = {
    f"{letter}{8 * size}": f"<{kind}{size}"
    for letter, kind, sizes in (
        ("F", "f", (2, 4, 8)),
        ("I", "i", (1, 2, 4, 8)),
        ("U", "u", (1, 2, 4, 8)),
    )
    for size in sizes
} | {"BOOL": "?"}
"""Safetensors' names of types, and NumPy's."""


def read_safetensors(file: Path, budget: Budget) -> dict[str, NDArray[Any]]:
    """
    The arrays in a file by name; bfloat16 becomes float32, which is exact.

    InputError naming the file, and the array, for other types, as float8, and where safetensors is
    not installed, or the file is something else or needs more memory than is free.
    """
    try:
        import safetensors
    except ModuleNotFoundError as error:
        raise InputError(f"{file}: needs safetensors: pip install 'kkspdnn[torch]'") from error
    with file.open("rb") as opened:
        # A header begins with its length, which may look like any of these: JSON follows it.
        head = opened.read(64)
    content = describe_content(head)
    if content is not None and head[8:9] != b"{":
        raise InputError(f"{file}: no safetensors file: it is {content}")
    # The file, its arrays beside it, and those of float32 made of them.
    budget.require(4 * file.stat().st_size, f"{file}: its arrays")
    try:
        deserialize: Any = safetensors.deserialize
        found = deserialize(file.read_bytes())
    except safetensors.SafetensorError as error:
        raise InputError(f"{file}: no safetensors file: {error}") from error
    return {
        name: _array(f"{file}: {name}", said["dtype"], said["shape"], said["data"])
        for name, said in found
    }


def _array(what: str, kind: str, shape: list[int], data: bytes) -> NDArray[Any]:
    if kind == "BF16":
        # The upper half of a float32.
        wide = np.frombuffer(data, "<u2").astype(np.uint32) << 16
        return wide.view(np.float32).reshape(shape)
    if kind not in _TYPES:
        raise InputError(f"{what}: {kind} values; convert them to float32 or bfloat16 first")
    return np.frombuffer(data, _TYPES[kind]).reshape(shape)
