"""The PyKokkos front: the real package where it is installed, else the built-in compiler.

`KKSPDNN_PK=builtin` or `KKSPDNN_PK=pykokkos` chooses by hand. Workunits say
`import pykokkos as pk` and mean the same under both.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from types import ModuleType
from typing import Literal

from kkspdnn.errors import KkspdnnError

VARIABLE = "KKSPDNN_PK"
Front = Literal["builtin", "pykokkos"]


def chosen() -> Front:
    """Which PyKokkos this process uses.

    Raises KkspdnnError where KKSPDNN_PK names none, or one that is not installed.
    """
    wanted = os.environ.get(VARIABLE, "")
    if wanted not in ("", "builtin", "pykokkos"):
        raise KkspdnnError(f"{VARIABLE}={wanted}: set it to builtin or pykokkos, or unset it")
    loaded = sys.modules.get("pykokkos")
    if loaded is not None and _is_package(loaded):
        standing_in = loaded.__name__ == "kkspdnn.pk.language"
        return "builtin" if standing_in else "pykokkos"
    if wanted == "pykokkos" and not is_installed():
        raise KkspdnnError(f"{VARIABLE}=pykokkos, but PyKokkos is not installed here; unset it")
    return "pykokkos" if is_installed() and wanted != "builtin" else "builtin"


def is_installed() -> bool:
    """Is the real PyKokkos there, whether or not the built-in compiler stands in for it?

    A folder of that name without Python files, such as a clone of its repository, is none.
    """
    found = (finder.find_spec("pykokkos", None) for finder in sys.meta_path)
    return any(spec is not None and spec.origin is not None for spec in found)


def _is_package(module: ModuleType) -> bool:
    """Has it come from a file, rather than from a folder that only has the name?"""
    return getattr(module, "__file__", None) is not None


def provide_pykokkos() -> ModuleType:
    """Make `import pykokkos` work in this process, and give that module."""
    language = "kkspdnn.pk.language"
    loaded = sys.modules.get("pykokkos")
    if chosen() == "builtin" and (loaded is None or loaded.__name__ != language):
        sys.modules["pykokkos"] = import_module(language)
    return import_module("pykokkos")
