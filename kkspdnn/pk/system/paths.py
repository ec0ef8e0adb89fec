"""Paths that the build tools do not support, and short paths of Python files."""

from __future__ import annotations

import os
from pathlib import Path

_SPECIAL = frozenset('"$*,:;?[\\]`|')
"""Characters that are special in CMake's lists and patterns, in Ninja's and the shell's variables,
or in the linker's options and run path."""


def unsupported_path(path: Path, nvcc_wrapper: bool = False) -> str | None:
    """Return why CMake, Ninja, a compiler or the linker does not support a path; None if all do.

    The text begins with the path. nvcc_wrapper: Kokkos's nvcc_wrapper must support the path too,
    which splits its arguments at every space
    """
    for character in str(path):
        special = character in _SPECIAL or (nvcc_wrapper and character.isspace())
        if special or not _is_printable(character):
            return f"{str(path)!r} contains {character!r}, which compilers and CMake do not support"
    return None


def _is_printable(character: str) -> bool:
    """Return False for control characters, and for the surrogates of a name that is not UTF-8."""
    return character >= " " and not "\ud800" <= character <= "\udfff"


def package_path(path: str) -> str:
    """Return a Python file's path from its outermost package on, such as `workunits/fused.py`.

    Of a cell of a notebook it is `cell`, as its number would change with each run of the cell.
    """
    if path.startswith(("Cell ", "<")):
        return "cell"
    folder, name = os.path.split(path)
    while os.path.isfile(os.path.join(folder, "__init__.py")) and os.path.basename(folder):
        folder, package = os.path.split(folder)
        name = f"{package}/{name}"
    return name
