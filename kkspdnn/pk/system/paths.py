"""Names of files and folders, as the tools read them."""

from __future__ import annotations

import os
from pathlib import Path

_READ = frozenset('"$*,:;?[\\]`|')
"""CMake's lists and patterns, Ninja's and the shell's variables, the linker's options and run
path."""


def misread(path: Path, wrapper: bool = False) -> str | None:
    """What of a path CMake, Ninja, a compiler or the linker reads as something else, for people;
    None where there is nothing. wrapper: Kokkos' nvcc_wrapper, which parts words at every space,
    must take it too."""
    for character in str(path):
        if character in _READ or (wrapper and character.isspace()) or not _ordinary(character):
            return f"{str(path)!r} has {character!r} in it, which compilers and CMake cannot take"
    return None


def _ordinary(character: str) -> bool:
    """Neither a control character nor part of a name that is not UTF-8."""
    return character >= " " and not "\ud800" <= character <= "\udfff"


def short_name(path: str) -> str:
    """A Python file's name from its outermost package on, such as `workunits/fused.py`."""
    folder, name = os.path.split(path)
    while os.path.isfile(os.path.join(folder, "__init__.py")) and os.path.basename(folder):
        folder, package = os.path.split(folder)
        name = f"{package}/{name}"
    return name
