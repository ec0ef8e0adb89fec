"""Python that computes as C++: what the tests of printed PyKokkos source rely on."""

from __future__ import annotations

from textwrap import indent
from typing import Any

import numpy as np
import pytest
from pykokkos_emulator import load
from python_as_cpp import NotCppError, evaluate


def compute(body: str) -> Any:
    """The value of `x` after statements."""
    head = "import pykokkos as pk\n@pk.function\ndef f(x: pk.int64) -> pk.int64:\n"
    with np.errstate(over="ignore"):
        return load(head + indent(body + "\nreturn x", "    "))["f"](0)


@pytest.mark.parametrize(
    ("body", "x"),
    [
        ("k: pk.uint8 = 250\nk += 10\nx = k", 4),
        ("k: pk.uint8 = 250\nx = k + 10", 260),
        ("k: pk.uint32 = 3\nx = (k * 2147483648) >> 31", 1),
        ("k: pk.float = 16777216\nk += 1.0\nx = k", 16777216),
        ("k: List[pk.int8] = [1, 2]\nk[1] *= 3\nx = k[1]", 6),
        ("x = -7 // 2", -3),
        ("x = -7\nx %= 3", -1),
        ("x = int(-2.5)", -2),
        ("for k in range(3, -2, -2):\n    x = 10 * x + k", 309),
        ("for k in range(3, -2, 0 - 2):\n    x = 7", 0),
    ],
)
def test_numbers(body: str, x: int) -> None:
    assert compute(body) == x


@pytest.mark.parametrize(
    "body",
    [
        "if x == 0:\n    k: int = 1\nx = k",
        "for k in range(3):\n    x += k\nx = k",
        "k: int = 1\nk: int = 2",
        "x = y",
    ],
)
def test_names_that_cpp_does_not_see(body: str) -> None:
    with pytest.raises(NotCppError):
        compute(body)


def test_errors_that_cpp_does_not_report() -> None:
    with pytest.raises(OverflowError):
        compute("k: int = 2147483647\nk += 1")
    for index in ("2", "-1"):
        with pytest.raises(IndexError):
            compute(f"k: List[pk.int8] = [1, 2]\nx = k[{index}]")


def test_logic_has_no_parentheses() -> None:
    names = {"a": False, "b": False, "c": True}
    assert evaluate("a and (b or c)", names)  # a && b || c
    assert not evaluate("(a and b) == c", names)  # a && (b == c)
    assert not evaluate("a and (not (not (b or c)))", names)
