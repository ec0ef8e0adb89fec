"""Options of the C++ compiler that the user adds: `KKSPDNN_CXXFLAGS`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable

from kkspdnn.errors import ToolchainError

VARIABLE = "KKSPDNN_CXXFLAGS"

_VALUE_CHANGING = (
    "-Ofast",
    "-ffast-math",
    "-funsafe-math-optimizations",
    "-fassociative-math",
    "-freciprocal-math",
    "-ffinite-math-only",
    "-fno-signed-zeros",
    "-fno-honor-nans",
    "-fno-honor-infinities",
    "-fapprox-func",
    "-ffp-contract=fast",
    "-ffp-contract=on",
    "-ffp-model=",
    "-fp-model",
    "-ffp-eval-method=",
    "-fdenormal-fp-math",
    "-fexcess-precision=fast",
    "-fsingle-precision-constant",
    "-menable-unsafe-fp-math",
    "-mfpmath=387",
    "-mfpmath=both",
    "-mrecip",
    "-mdaz-ftz",
    "-ftz",
    "-fimf-",
    "-mlow-precision",
    "-use_fast_math",
    "-fmad=true",
    "-ftz=true",
    "-prec-div=false",
    "-prec-sqrt=false",
)
"""How options begin that let a compiler give other values than the written operations have, or, as
-ffast-math of GCC when it links, make the process flush subnormal numbers to zero."""

_HARMLESS = ("-mrecip=none", "-ffp-model=strict")


def extra_options() -> tuple[str, ...]:
    """The options in KKSPDNN_CXXFLAGS, split as a shell does.

    Raises ToolchainError for one that changes answers, or that cannot be passed on.
    """
    text = os.environ.get(VARIABLE, "")
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ToolchainError(f"{VARIABLE}={text}: {error}; quote as in a shell") from error
    found = changes_values(words)
    if found is not None:
        raise ToolchainError(f"{VARIABLE}: {found} changes answers; leave it out")
    for word in words:
        if word.startswith("@") or ";" in word or not word.isprintable():
            raise ToolchainError(f"{VARIABLE}: {word!r} cannot be passed on; leave it out")
    return words


def changes_values(words: Iterable[str]) -> str | None:
    """The first option with which a compiler may give other floating-point values, or None."""
    for word in words:
        # nvcc takes its long options with two dashes, and either of - and _.
        plain = word.replace("--", "-", 1) if word.startswith("--") else word
        # -Xcompiler=-ffast-math and -Wc,-ffast-math hand options on.
        parts = [part for comma in plain.split(",") for part in (comma, comma.partition("=")[2])]
        for part in parts:
            if part.startswith(_VALUE_CHANGING) and not part.startswith(_HARMLESS):
                return word
    return None
