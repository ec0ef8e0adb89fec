"""Reader of .safetensors files, including bfloat16, for which NumPy has no dtype."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.device.memory import Budget
from kkspdnn.errors import InputError
from kkspdnn.io.numpy_files import describe_content

_DTYPES: Mapping[str, str] = {
    f"{letter}{8 * size}": f"<{code}{size}"
    for letter, code, sizes in (
        ("F", "f", (2, 4, 8)),
        ("I", "i", (1, 2, 4, 8)),
        ("U", "u", (1, 2, 4, 8)),
    )
    for size in sizes
} | {"BOOL": "?"}
"""NumPy's names of dtypes by those of safetensors."""


def read_safetensors(file: Path, budget: Budget) -> dict[str, NDArray[Any]]:
    """
    The arrays in a file by name. bfloat16 is converted to float32, which is exact.

    InputError naming the file, and the array, for other dtypes such as float8, for a file of
    another type, for one that needs more memory than the budget, and if safetensors is not
    installed.
    """
    try:
        import safetensors
    except ModuleNotFoundError as error:
        raise InputError(f"{file}: needs safetensors: pip install safetensors") from error
    with file.open("rb") as opened:
        # A file begins with 8 bytes of length, which may equal a magic number, and JSON.
        head = opened.read(64)
    content = describe_content(head)
    if content is not None and head[8:9] != b"{":
        raise InputError(f"{file}: not a safetensors file: it is {content}")
    # The content of the file, its arrays, and their float32 copies of up to twice the size.
    budget.require(4 * file.stat().st_size, f"{file}: its arrays")
    try:
        deserialize: Any = safetensors.deserialize
        tensors = deserialize(file.read_bytes())
    except safetensors.SafetensorError as error:
        raise InputError(f"{file}: not a safetensors file: {error}") from error
    return {
        name: _array(f"{file}: {name}", tensor["dtype"], tensor["shape"], tensor["data"])
        for name, tensor in tensors
    }


def _array(label: str, dtype: str, shape: list[int], data: bytes) -> NDArray[Any]:
    if dtype == "BF16":
        # bfloat16 is the upper half of a float32.
        bits = np.frombuffer(data, "<u2").astype(np.uint32) << 16
        return bits.view(np.float32).reshape(shape)
    if dtype not in _DTYPES:
        raise InputError(f"{label}: {dtype} values; convert them to float32 or bfloat16 first")
    return np.frombuffer(data, _DTYPES[dtype]).reshape(shape)
