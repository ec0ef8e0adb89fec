"""The functions that read the arguments of a launch: their text, and arrays that are not usual."""

from __future__ import annotations

from typing import Any

import numpy as np
import pykokkos as pk
import pytest

from kkspdnn.pk.runtime.packing_plan import PlannedArgument, plan_packing
from kkspdnn.pk.types import DOUBLE, FLOAT, INT8, View


def general(value: Any) -> tuple[Any, ...]:
    """A packer that says that it was called."""
    return ("general", value)


def planned(name: str, view: View, cls: type = np.ndarray) -> PlannedArgument:
    return PlannedArgument(name, cls, general, view)


def address_of(array: Any) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def test_arrays_numbers_and_fixed_arguments() -> None:
    arguments = [None, planned("a", View(FLOAT, 2)), PlannedArgument("n", int, None), None]
    fields = plan_packing(arguments, ["n", "a"])((1, 2), ())
    a = np.zeros((3, 4), np.float32)
    assert fields(7, a) == fields(a=a, n=7) == (1, 2, address_of(a), 3, 4, 7)
    assert plan_packing([], [])()() == ()
    assert plan_packing([None], [])((5,))() == (5,)


def test_a_packer_of_numbers() -> None:
    argument = PlannedArgument("x", float, lambda value: (2 * value,))
    assert plan_packing([argument], ["x"])()(1.5) == (3.0,)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(0),
        np.zeros(6)[::2],
        np.frombuffer(bytes(16)),
        np.zeros(17, np.uint8)[1:].view(np.float64),
        np.zeros(2, np.float32),
        np.zeros((2, 2)),
        np.zeros(()),
        np.zeros(2, np.dtype("f8", metadata={"unit": "m"})),
    ],
    ids=["empty", "strided", "read-only", "misaligned", "dtype", "2d", "0d", "metadata"],
)
def test_arrays_that_are_left_to_their_packer(array: Any) -> None:
    fields = plan_packing([planned("a", View(DOUBLE, 1))], ["a"])()
    assert fields(array) == ("general", array)
    usual = np.zeros(3)
    assert fields(usual) == (address_of(usual), 3)
    two = plan_packing([planned(name, View(DOUBLE, 1)) for name in "ab"], ["a", "b"])()
    assert two(array, usual) == ("general", array, "general", usual)
    assert two(usual, array) == ("general", usual, "general", array)


def test_each_dtype_has_its_alignment() -> None:
    memory = np.zeros(64, np.uint8)
    views = {"a": View(DOUBLE, 1), "b": View(FLOAT, 1), "c": View(INT8, 1)}
    fields = plan_packing([planned(name, view) for name, view in views.items()], [*views])()
    begin = -address_of(memory) % 8
    a = memory[begin:][:16].view(np.float64)
    b = memory[begin + 4 :][:16].view(np.float32)
    c = memory[begin + 1 :][:16].view(np.int8)
    start = address_of(memory) + begin
    assert fields(a, b, c) == (start, 2, start + 4, 4, start + 1, 16)
    odd = memory[begin + 2 :][:16].view(np.float32)
    assert fields(a, odd, c)[0] == "general"


def test_views() -> None:
    fields = plan_packing([planned("a", View(DOUBLE, 2), pk.View)], ["a"])()
    view = pk.View([2, 3], pk.double)
    assert fields(view) == (address_of(view.data), 2, 3)
    assert fields(pk.View([2], pk.double))[0] == "general"


@pytest.mark.parametrize("wrong", [[1.0], 3, None, np.ma.zeros(3), np.float64(1)])
def test_other_classes(wrong: Any) -> None:
    fields = plan_packing(
        [planned("a", View(DOUBLE, 1)), PlannedArgument("n", int, None)], ["a", "n"]
    )()
    for given in ((wrong, 1), (np.zeros(1), True), (np.zeros(1), 1.0)):
        with pytest.raises(TypeError):
            fields(*given)
    for missing in ({"a": np.zeros(1)}, {"a": np.zeros(1), "n": 1, "m": 1}):
        with pytest.raises(TypeError):
            fields(**missing)
