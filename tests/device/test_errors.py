"""What CuPy raises becomes one line."""

from __future__ import annotations

import pytest

from kkspdnn.device.errors import in_one_line
from kkspdnn.errors import InputError, SpaceError


def raised(kind: type[Exception], text: str) -> Exception:
    @in_one_line
    def fail(number: int) -> None:
        raise kind(f"{text} {number}.\nand more")

    with pytest.raises(Exception) as caught:  # noqa: PT011
        fail(3)
    return caught.value


def test_each_kind() -> None:
    full = type("OutOfMemoryError", (MemoryError,), {"__module__": "cupy.cuda.memory"})
    said = raised(full, "Out of memory allocating")
    assert isinstance(said, InputError)
    assert str(said).startswith(
        "the device's memory is full: Out of memory allocating 3; use fewer"
    )
    failed = type("CUDARuntimeError", (RuntimeError,), {"__module__": "cupy_backends.cuda.api"})
    said = raised(failed, "cudaErrorIllegalAddress")
    assert isinstance(said, SpaceError)
    assert str(said) == "the device failed: CUDARuntimeError: cudaErrorIllegalAddress 3"
    assert type(raised(ValueError, "ours")) is ValueError
    assert type(raised(MemoryError, "the host's")) is MemoryError


def test_what_is_returned_and_its_name() -> None:
    @in_one_line
    def twice(number: int) -> int:
        """Doubles."""
        return 2 * number

    assert twice(number=4) == 8
    assert twice.__doc__ == "Doubles."
