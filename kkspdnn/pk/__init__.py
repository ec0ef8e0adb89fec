"""PyKokkos: the installed package, or else the built-in compiler.

Workunits say `import pykokkos as pk` and mean the same in both. The environment variable
`KKSPDNN_PK=builtin` or `KKSPDNN_PK=pykokkos` overrides the choice.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Final, Literal

from kkspdnn.errors import KkspdnnError
from kkspdnn.pk.real.requirements import is_installed, problem

IMPLEMENTATION_VARIABLE: Final = "KKSPDNN_PK"
Implementation = Literal["builtin", "pykokkos"]

_LANGUAGE: Final = "kkspdnn.pk.language"


def active_implementation() -> Implementation:
    """Return the implementation of PyKokkos that this process uses.

    An installed PyKokkos that cannot work here is not used; a warning says what it needs.

    Raises KkspdnnError if KKSPDNN_PK has another value, or is pykokkos and PyKokkos is not
    installed or cannot work here.
    """
    requested = os.environ.get(IMPLEMENTATION_VARIABLE, "")
    if requested not in ("", "builtin", "pykokkos"):
        raise KkspdnnError(
            f"{IMPLEMENTATION_VARIABLE}={requested}: set it to builtin or pykokkos, or unset it"
        )
    if requested == "builtin" or (not requested and not is_installed()):
        return "builtin"
    if not is_installed():
        raise KkspdnnError(
            f"{IMPLEMENTATION_VARIABLE}=pykokkos, but PyKokkos is not installed here; unset it"
        )
    missing = problem()
    if missing is None:
        return "pykokkos"
    if requested:
        raise KkspdnnError(f"{IMPLEMENTATION_VARIABLE}=pykokkos: {missing}")
    warn_fallback(missing)
    return "builtin"


@cache
def warn_fallback(reason: str) -> None:
    """Log, once, that the built-in compiler replaces an installed PyKokkos."""
    logging.getLogger("kkspdnn").warning(
        f"{reason}; the built-in compiler is used instead "
        f"(set {IMPLEMENTATION_VARIABLE}=builtin to choose it)"
    )


def provide_pykokkos() -> ModuleType:
    """Make `import pykokkos` import the active implementation, and return that module."""
    if active_implementation() == "builtin":
        sys.modules["pykokkos"] = import_module(_LANGUAGE)
    return import_module("pykokkos")


@contextmanager
def language_as_pykokkos() -> Iterator[None]:
    """Let `import pykokkos` import the module of the built-in compiler inside the block.

    For workunits that are launched or printed through kkspdnn, whichever implementation compiles
    them. Importing them does not start the Kokkos of an installed PyKokkos.
    """
    loaded = sys.modules.get("pykokkos")
    sys.modules["pykokkos"] = import_module(_LANGUAGE)
    try:
        yield
    finally:
        sys.modules.pop("pykokkos", None)
        if loaded is not None:
            sys.modules["pykokkos"] = loaded
