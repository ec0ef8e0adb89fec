"""Intrinsic functions: atomics and math."""

from __future__ import annotations

from typing import Final

ATOMICS: Final = frozenset(
    {"atomic_fetch_add", "atomic_fetch_sub", "atomic_fetch_max", "atomic_fetch_min"}
    | {"atomic_fetch_and", "atomic_fetch_or", "atomic_fetch_xor"}
)

MATH: Final = {
    **dict.fromkeys(("sqrt", "fabs", "exp", "log", "floor", "ceil", "tanh"), 1),
    **dict.fromkeys(("fmin", "fmax", "pow"), 2),
}
"""`math.NAME` and its number of arguments."""
