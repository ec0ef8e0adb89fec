"""In debug mode: which launch writes the first NaN into an array."""

from __future__ import annotations

import ctypes
import logging
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from kkspdnn.pk.runtime.packers import field_count
from kkspdnn.pk.signature import Parameter
from kkspdnn.pk.types import View


@dataclass(frozen=True)
class FloatArguments:
    """The floating-point arguments of a launch.

    arrays: by name; numbers: the names of those that are NaN
    """

    arrays: dict[str, Any]
    numbers: tuple[str, ...]

    @classmethod
    def of(
        cls, parameters: Iterable[Parameter], fields: Sequence[Any], device: int | None
    ) -> FloatArguments:
        """Read them from the fields of a launch; device: the GPU's number, None on a CPU."""
        arrays, numbers, begin = dict[str, Any](), list[str](), 0
        for parameter in parameters:
            type_, end = parameter.type, begin + field_count(parameter)
            if isinstance(type_, View):
                if type_.element.is_float:
                    address, *shape = fields[begin:end]
                    arrays[parameter.name] = _array(address, shape, type_.element.numpy, device)
            elif type_.is_float and math.isnan(fields[begin]):
                numbers.append(parameter.name)
            begin = end
        return cls(arrays, tuple(numbers))

    def with_nan(self, names: Collection[str]) -> frozenset[str]:
        """Return those of these arrays that have a NaN."""
        return frozenset(
            name
            for name, array in self.arrays.items()
            if name in names and bool(np.isnan(array).any())
        )


def warn_of_new_nans(
    launch: str, arguments: FloatArguments, written: Collection[str], before: Collection[str]
) -> None:
    """Log a line for each array that has a NaN after a launch and had none before.

    launch: the workunit and the label
    written: the names of the arrays that the workunit writes
    before: those of them that had a NaN before the launch
    """
    new = sorted(arguments.with_nan(set(written) - set(before)))
    if not new:
        return
    read = arguments.with_nan(arguments.arrays.keys() - set(written))
    origins = [*sorted({*before, *read}), *arguments.numbers]
    origin = f"before it, {', '.join(origins)} had NaN" if origins else "no argument had NaN before"
    for name in new:
        found = np.isnan(arguments.arrays[name])
        count, first = int(found.sum()), int(found.ravel().argmax())
        index = ", ".join(str(int(each)) for each in np.unravel_index(first, found.shape))
        logging.getLogger("kkspdnn").warning(
            f"{launch}: {name} has {count} NaN{'s' if count > 1 else ''} after the launch, the "
            f"first at [{index}]; {origin}"
        )


def _array(address: int, shape: Sequence[int], dtype: np.dtype[Any], device: int | None) -> Any:
    """Return the array at an address of this process or of a GPU."""
    size = math.prod(shape) * dtype.itemsize
    if not size:
        return np.empty(shape, dtype)
    if device is None:
        memory: Any = (ctypes.c_char * size).from_address(address)
        return np.frombuffer(memory, dtype).reshape(shape)
    cupy = import_module("cupy")
    owner = cupy.cuda.UnownedMemory(address, size, None, device)
    return cupy.ndarray(tuple(shape), dtype, cupy.cuda.MemoryPointer(owner, 0))
