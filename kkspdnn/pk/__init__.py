"""PyKokkos: the installed package, or else the built-in compiler.

Workunits say `import pykokkos as pk` and mean the same in both. The environment variable
`KKSPDNN_PK=builtin` or `KKSPDNN_PK=pykokkos` overrides the choice.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from types import ModuleType
from typing import Final, Literal

from kkspdnn.errors import KkspdnnError

IMPLEMENTATION_VARIABLE: Final = "KKSPDNN_PK"
Implementation = Literal["builtin", "pykokkos"]

_LANGUAGE: Final = "kkspdnn.pk.language"


def active_implementation() -> Implementation:
    """Return the implementation of PyKokkos that this process uses.

    Raises KkspdnnError if KKSPDNN_PK has another value, or names one that is not installed.
    """
    requested = os.environ.get(IMPLEMENTATION_VARIABLE, "")
    if requested not in ("", "builtin", "pykokkos"):
        raise KkspdnnError(
            f"{IMPLEMENTATION_VARIABLE}={requested}: set it to builtin or pykokkos, or unset it"
        )
    loaded = sys.modules.get("pykokkos")
    if loaded is not None and _has_file(loaded):
        return "builtin" if loaded.__name__ == _LANGUAGE else "pykokkos"
    if requested == "pykokkos" and not is_installed():
        raise KkspdnnError(
            f"{IMPLEMENTATION_VARIABLE}=pykokkos, but PyKokkos is not installed here; unset it"
        )
    return "pykokkos" if is_installed() and requested != "builtin" else "builtin"


def is_installed() -> bool:
    """Return whether the PyKokkos package is installed, whichever implementation is active.

    A folder of that name without Python files, such as a clone of its repository, does not count.
    """
    specs = (finder.find_spec("pykokkos", None) for finder in sys.meta_path)
    return any(spec is not None and spec.origin is not None for spec in specs)


def _has_file(module: ModuleType) -> bool:
    """Whether a module is from a file; a folder without Python files is a module too."""
    return getattr(module, "__file__", None) is not None


def provide_pykokkos() -> ModuleType:
    """Make `import pykokkos` import the active implementation, and return that module."""
    loaded = sys.modules.get("pykokkos")
    if active_implementation() == "builtin" and (loaded is None or loaded.__name__ != _LANGUAGE):
        sys.modules["pykokkos"] = import_module(_LANGUAGE)
    return import_module("pykokkos")
