"""Intrinsic functions: atomics and math."""

from __future__ import annotations

import math
from typing import Final

ATOMICS: Final = {
    **dict.fromkeys(("atomic_fetch_add", "atomic_fetch_sub", "atomic_fetch_max"), 1),
    **dict.fromkeys(("atomic_fetch_min", "atomic_fetch_mul", "atomic_fetch_div", "atomic_add"), 1),
    **dict.fromkeys(("atomic_fetch_and", "atomic_fetch_or", "atomic_fetch_xor"), 1),
    **dict.fromkeys(("atomic_fetch_mod", "atomic_fetch_lshift", "atomic_fetch_rshift"), 1),
    "atomic_increment": 0,
    "atomic_compare_exchange": 2,
}
"""`pk.NAME` and its number of arguments after the view and the indices."""

SHIFT_ATOMICS: Final = frozenset({"atomic_fetch_lshift", "atomic_fetch_rshift"})
"""Atomics whose value is a number of bits."""

INTEGER_ATOMICS: Final = SHIFT_ATOMICS | {
    "atomic_fetch_and",
    "atomic_fetch_or",
    "atomic_fetch_xor",
    "atomic_fetch_mod",
}
"""Atomics of integers only."""

ATOMICS_WITHOUT_VALUE: Final = frozenset({"atomic_add", "atomic_increment"})
"""Atomics that are statements."""

PREDICATES: Final = frozenset({"isfinite", "isinf", "isnan"})
"""The functions in MATH whose result is a bool."""

MATH: Final = {
    **dict.fromkeys(("sqrt", "fabs", "floor", "ceil", "trunc", "round"), 1),
    **dict.fromkeys(("exp", "expm1", "log", "log2", "log10", "log1p"), 1),
    **dict.fromkeys(("sin", "cos", "tan", "asin", "acos", "atan"), 1),
    **dict.fromkeys(("sinh", "cosh", "tanh", "asinh", "acosh", "atanh"), 1),
    **dict.fromkeys(("erf", "erfc", "lgamma", "tgamma", *PREDICATES), 1),
    **dict.fromkeys(("fmin", "fmax", "pow", "atan2", "copysign", "fmod", "hypot", "remainder"), 2),
}
"""`math.NAME` and its number of arguments; the same function of `<cmath>`."""

FACTORS: Final = {"degrees": 180 / math.pi, "radians": math.pi / 180}
"""Functions of one argument that multiply it."""

CONSTANTS: Final = {name: float(getattr(math, name)) for name in ("pi", "e", "tau", "inf", "nan")}
"""`math.NAME`."""

INSTEAD: Final = {
    "print": 'write pk.printf("%d\\n", x)',
    "len": "write a.extent(0)",
    "min": "write math.fmin(a, b); for integers m: int = a, then if b < m: and m = b",
    "max": "write math.fmax(a, b); for integers m: int = a, then if b > m: and m = b",
    "sum": "write a for loop",
    "rsqrt": "write 1 / math.sqrt(x)",
    "cbrt": "write math.copysign(math.fabs(x) ** (1 / 3), x)",
    "exp2": "write 2.0 ** x",
    "gamma": "write math.tgamma(x), the name of the function in C++",
    "divmod": "write a // b and a % b",
}
"""Functions that a workunit cannot call, because PyKokkos does not compile them, and what to write
instead."""
