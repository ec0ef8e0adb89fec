"""PyKokkos: the installed package, or else the built-in compiler.

Workunits say `import pykokkos as pk` and mean the same in both. After `import kkspdnn`, this
imports the installed package if it is usable here, and else the built-in compiler. The environment
variable `KKSPDNN_PK=builtin` or `KKSPDNN_PK=pykokkos` overrides the choice.

`from kkspdnn import pk` is the built-in compiler in any case, whichever PyKokkos is installed: the
names of PyKokkos's API, such as `pk.workunit` and `pk.parallel_for`, are those of
`kkspdnn.pk.language`.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Final, Literal

from kkspdnn.errors import KkspdnnError
from kkspdnn.pk.installed.requirements import is_installed, missing_requirements
from kkspdnn.pk.system.debug_mode import DEBUG_VARIABLE, debug_mode
from kkspdnn.pk.system.ipython import running_shell
from kkspdnn.pykokkos_finder import LANGUAGE

if TYPE_CHECKING:
    from kkspdnn.pk.language import *  # noqa: F403

IMPLEMENTATION_VARIABLE: Final = "KKSPDNN_PK"
Implementation = Literal["builtin", "pykokkos"]


def __getattr__(name: str) -> object:
    """Return a name of PyKokkos's API from the built-in compiler."""
    # Before Python imports a submodule, it asks for it here. The built-in compiler must not be
    # imported then: it may be the one that imports the submodule.
    if name.startswith("__") or find_spec(f"{__name__}.{name}") is not None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(LANGUAGE), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *import_module(LANGUAGE).__all__})


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
        warn_debug_mode("pykokkos")
        return "pykokkos"
    if requested:
        raise KkspdnnError(f"{IMPLEMENTATION_VARIABLE}=pykokkos: {missing}")
    warn_fallback(missing)
    return "builtin"


@cache
def warn_debug_mode(implementation: Implementation) -> None:
    """Log, once, what debug mode means for this implementation, if it is on.

    Raises KkspdnnError if KKSPDNN_DEBUG has another value than 0 and 1.
    """
    if not debug_mode():
        return
    effect = "workunits check every index, so times are not meaningful"
    if implementation == "pykokkos":
        effect = (
            "PyKokkos is in use, whose code has no checks; set "
            f"{IMPLEMENTATION_VARIABLE}=builtin to check workunits"
        )
    logging.getLogger("kkspdnn").warning(f"{DEBUG_VARIABLE}=1: {effect}")


@cache
def warn_fallback(reason: str) -> None:
    """Log, once, that the built-in compiler replaces an installed PyKokkos."""
    logging.getLogger("kkspdnn").warning(
        f"{reason}; the built-in compiler is used instead "
        f"(set {IMPLEMENTATION_VARIABLE}=builtin to choose it)"
    )


@cache
def warn_cells() -> None:
    """Log, once, that PyKokkos compiles no workunits of cells, if IPython is running."""
    if running_shell() is not None:
        logging.getLogger("kkspdnn").warning(
            "PyKokkos reads workunits from files, not from cells; write `from kkspdnn import pk` "
            f"for workunits in cells, or set {IMPLEMENTATION_VARIABLE}=builtin"
        )


def provide_pykokkos() -> ModuleType:
    """Make `import pykokkos` import the active implementation, and return that module.

    `import kkspdnn` is enough for most programs. This function also replaces a module that has been
    imported as `pykokkos` before, and uses the built-in compiler if the installed package fails to
    import.

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
    sys.modules["pykokkos"] = import_module(LANGUAGE)
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
    sys.modules["pykokkos"] = import_module(LANGUAGE)
    try:
        yield
    finally:
        sys.modules.pop("pykokkos", None)
        if loaded is not None:
            sys.modules["pykokkos"] = loaded
