"""Exceptions of CuPy become errors with a one-line message."""

from __future__ import annotations

import pytest

from kkspdnn.device.errors import translate_cupy_errors
from kkspdnn.errors import InputError, SpaceError


def translated(error_type: type[Exception], text: str) -> Exception:
    @translate_cupy_errors
    def fail(number: int) -> None:
        raise error_type(f"{text} {number}.\nand more")

    with pytest.raises(Exception) as caught:  # noqa: PT011
        fail(3)
    return caught.value


def test_each_error_type() -> None:
    full = type("OutOfMemoryError", (MemoryError,), {"__module__": "cupy.cuda.memory"})
    error = translated(full, "Out of memory allocating")
    assert isinstance(error, InputError)
    assert str(error).startswith(
        "the device's memory is full: Out of memory allocating 3; use fewer"
    )
    failed = type("CUDARuntimeError", (RuntimeError,), {"__module__": "cupy_backends.cuda.api"})
    error = translated(failed, "cudaErrorIllegalAddress")
    assert isinstance(error, SpaceError)
    assert str(error) == "the device failed: CUDARuntimeError: cudaErrorIllegalAddress 3"
    assert type(translated(ValueError, "ours")) is ValueError
    assert type(translated(MemoryError, "the host's")) is MemoryError


def test_result_and_docstring_are_kept() -> None:
    @translate_cupy_errors
    def twice(number: int) -> int:
        """Doubles."""
        return 2 * number

    assert twice(number=4) == 8
    assert twice.__doc__ == "Doubles."
