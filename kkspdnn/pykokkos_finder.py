"""`import pykokkos` where the real PyKokkos is not used: a finder of Python's import system.

`import kkspdnn` installs it. It imports nothing of kkspdnn before a program imports `pykokkos`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType

LANGUAGE = "kkspdnn.pk.language"
"""The module of the built-in compiler that `import pykokkos` imports."""

_NAMES = "pykokkos", LANGUAGE


class LanguageLoader:
    """Loads the module of the built-in compiler as `pykokkos`: the same module object."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Return None: Python makes an empty module, which `exec_module` replaces."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Put the module of the built-in compiler in the place of the new one."""
        # Python returns what is in sys.modules then, and does not touch its __spec__.
        sys.modules[module.__name__] = import_module(LANGUAGE)


class PyKokkosFinder:
    """Finds the built-in compiler as `pykokkos` where it is the active implementation.

    Otherwise it finds nothing, so that Python imports the real PyKokkos. It is no subclass of
    `importlib.abc.MetaPathFinder`, whose module takes ten times as long to import as kkspdnn.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of `pykokkos`; None for all other modules and for the real PyKokkos.

        Raises ImportError for a submodule of the built-in compiler's module, which has none, and
        if KKSPDNN_PK asks for a PyKokkos that cannot be used.
        """
        if name == "pykokkos":
            return _find()
        parent, _, attribute = name.rpartition(".")
        if parent in _NAMES and LANGUAGE in sys.modules:
            language = sys.modules[LANGUAGE]
            if sys.modules.get(parent) is language:
                _refuse_submodule(language, attribute)
        return None


def install_finder() -> None:
    """Let `import pykokkos` find the built-in compiler; a second call changes nothing."""
    if not any(isinstance(finder, PyKokkosFinder) for finder in sys.meta_path):
        # Before the finder of the real package, which KKSPDNN_PK=builtin does not use.
        sys.meta_path.insert(0, PyKokkosFinder())


@contextmanager
def real_package_only() -> Iterator[None]:
    """Let `import pykokkos` find the real package alone inside the block."""
    before = list(sys.meta_path)
    sys.meta_path[:] = [each for each in before if not isinstance(each, PyKokkosFinder)]
    try:
        yield
    finally:
        if len(sys.meta_path) < len(before):
            install_finder()


def _find() -> ModuleSpec | None:
    pk = import_module("kkspdnn.pk")
    errors = import_module("kkspdnn.errors")
    try:
        active = pk.active_implementation()
    except errors.KkspdnnError as error:
        raise ImportError(str(error), name="pykokkos") from error
    if active == "pykokkos":
        pk.warn_cells()
        return None
    # The loader has the methods of importlib.abc.Loader that Python calls.
    return ModuleSpec("pykokkos", LanguageLoader(), origin=LANGUAGE)  # type: ignore[arg-type]


def _refuse_submodule(language: ModuleType, name: str) -> None:
    """Raise ImportError for `import pykokkos.NAME`, and for `from pykokkos import NAME` of a name
    that is missing."""
    try:
        getattr(language, name)
    except AttributeError as error:
        reason = str(error)
    else:
        reason = f"{name} is not a module; write import pykokkos as pk and use pk.{name}"
    raise ImportError(reason, name=f"pykokkos.{name}")
