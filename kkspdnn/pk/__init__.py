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
from kkspdnn.pk.installed.requirements import is_installed, missing_requirements

IMPLEMENTATION_VARIABLE: Final = "KKSPDNN_PK"
Implementation = Literal["builtin", "pykokkos"]

_LANGUAGE: Final = "kkspdnn.pk.language"


def active_implementation() -> Implementation:
    """Return the implementation of PyKokkos that this process uses.

    An installed PyKokkos that cannot work here is not used; a warning says what it needs.

    Raises KkspdnnError if KKSPDNN_PK is neither builtin nor pykokkos, or is pykokkos and PyKokkos
    is not installed or cannot work here.
    """
    requested = os.environ.get(IMPLEMENTATION_VARIABLE, "")
    if requested not in ("", "builtin", "pykokkos"):
        raise KkspdnnError(
            f"{IMPLEMENTATION_VARIABLE}={requested}: set it to builtin or pykokkos, or unset it"
        )
    if requested == "builtin":
        return "builtin"
    if not is_installed():
        if not requested:
            return "builtin"
        raise KkspdnnError(
            f"{IMPLEMENTATION_VARIABLE}=pykokkos, but PyKokkos is not installed here; unset it"
        )
    missing = missing_requirements()
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
    """Make `import pykokkos` import the active implementation, and return that module.

    Raises KkspdnnError if KKSPDNN_PK=pykokkos and PyKokkos cannot be imported.
    """
    if active_implementation() == "pykokkos":
        try:
            return import_module("pykokkos")
        except (Exception, SystemExit) as error:
            message = import_failure(error)
            if os.environ.get(IMPLEMENTATION_VARIABLE):
                raise KkspdnnError(message) from error
            warn_fallback(message)
    sys.modules["pykokkos"] = import_module(_LANGUAGE)
    return sys.modules["pykokkos"]


def import_failure(error: BaseException) -> str:
    """Return the message for a PyKokkos that cannot be imported."""
    reason = str(error).partition("\n")[0]
    return (
        f"PyKokkos cannot be imported ({type(error).__name__}: {reason}); "
        "run python -c 'import pykokkos' to see why"
    )


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
