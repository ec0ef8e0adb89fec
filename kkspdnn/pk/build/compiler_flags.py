"""The user's options for the C++ compiler, from KKSPDNN_CXXFLAGS."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable

from kkspdnn.errors import ToolchainError

FLAGS_VARIABLE = "KKSPDNN_CXXFLAGS"

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
"""Prefixes of options with which floating-point results may differ from those of the source code.

GCC's -ffast-math also makes the whole process flush subnormal numbers to zero, if it links with it.
"""

_VALUE_PRESERVING = ("-mrecip=none", "-ffp-model=strict")


def user_options() -> tuple[str, ...]:
    """Return the options in KKSPDNN_CXXFLAGS, split as a shell does.

    Raises ToolchainError for an option that changes floating-point results, or that CMake does not
    pass on unchanged.
    """
    text = os.environ.get(FLAGS_VARIABLE, "")
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ToolchainError(f"{FLAGS_VARIABLE}={text}: {error}; quote as in a shell") from error
    changing = changes_values(words)
    if changing is not None:
        raise ToolchainError(f"{FLAGS_VARIABLE}: {changing} changes results; leave it out")
    for word in words:
        if word.startswith("@") or ";" in word or not word.isprintable():
            raise ToolchainError(f"{FLAGS_VARIABLE}: {word!r} cannot be passed on; leave it out")
    return words


def changes_values(words: Iterable[str]) -> str | None:
    """Return the first option with which floating-point results may differ, or None."""
    for word in words:
        # nvcc's long options may begin with two dashes.
        plain = word.replace("--", "-", 1) if word.startswith("--") else word
        # -Xcompiler=-ffast-math and -Wc,-ffast-math contain other options.
        items = [item for text in plain.split(",") for item in (text, text.partition("=")[2])]
        for item in items:
            if item.startswith(_VALUE_CHANGING) and not item.startswith(_VALUE_PRESERVING):
                return word
    return None
