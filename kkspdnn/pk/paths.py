"""Folders whose names the tools would read as something else."""

from __future__ import annotations

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
