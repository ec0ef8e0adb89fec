"""The suites of the host's spaces, on a GPU: their NumPy arrays are copied there and back."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from kkspdnn.device.cuda_check import cuda_requirements

PATTERNS = ("parallel_for", "parallel_reduce", "parallel_scan")


def skip_unless_here(space: str) -> None:
    """Skip a test of `cuda` where this machine lacks something, saying what."""
    missing = [each.name for each in cuda_requirements() if each.detected is None]
    if space == "cuda" and missing:
        pytest.skip(f"no {', no '.join(missing)}")


def copying(launch: Callable[..., Any]) -> Callable[..., Any]:
    """A launch on the GPU that takes NumPy arrays, and changes those that can be changed."""
    cupy = import_module("cupy")

    def run(label: str, policy: Any, workunit: Any, **arguments: Any) -> Any:
        arrays = {n: v for n, v in arguments.items() if isinstance(v, np.ndarray)}
        there = {n: cupy.asarray(v) for n, v in arrays.items()}
        result = launch(label, policy, workunit, **{**arguments, **there})
        for name, array in arrays.items():
            if array.flags.writeable:
                array[...] = cupy.asnumpy(there[name])
        return result

    return run
