"""Parsing: from a decorated Python function to its syntax tree."""

from __future__ import annotations

import ast
import inspect
import linecache
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import CellType, ModuleType
from typing import Any, Final

from kkspdnn.errors import KkspdnnError
from kkspdnn.pk.frontend.decorated import Decorated
from kkspdnn.pk.frontend.diagnostics import SourceFile
from kkspdnn.pk.frontend.roles import Roles, read_roles
from kkspdnn.pk.signature import Form
from kkspdnn.pk.system.fork import ProcessLock


@dataclass(frozen=True)
class FunctionSource:
    """The syntax tree of a Python function.

    names: the names that it sees, in which the `@pk.function`s that it calls are found
    form: of the launches that a workunit is compiled for; None if its annotations say it
    """

    name: str
    file: SourceFile
    node: ast.FunctionDef
    names: Mapping[str, object]
    form: Form | None = None

    @property
    def roles(self) -> Roles:
        """The parameters of a workunit by role."""
        return read_roles(self.node.args.args, self.form)


_PARSER_LOCK = ProcessLock()
"""Python 3.11 counts the depth of all syntax trees in one variable: if garbage is collected inside
`ast.parse` while another thread parses, both raise SystemError (gh-106905)."""

_IMPORT_HINT: Final = "write `import pykokkos as pk` at the top of the file"

_MODULES: Final = frozenset({"pykokkos", "kkspdnn.pk", "kkspdnn.pk.language"})
"""The modules that a workunit may call `pk`."""


def parse(decorated: Decorated) -> FunctionSource:
    """Return the syntax tree of a workunit or a `@pk.function`.

    In the tree the module of PyKokkos is called `pk`, whatever the file calls it.

    Raises KkspdnnError if its file cannot be read or has changed since it was imported, and
    WorkunitError if the file does not import PyKokkos.
    """
    function, name = decorated.function, decorated.__name__
    path = inspect.getsourcefile(function)
    if path is None:
        raise KkspdnnError(
            f"workunit {name}: no source file; define workunits in a .py file or in a notebook"
        )
    linecache.checkcache(path)
    lines = linecache.getlines(path)
    if not lines:
        raise KkspdnnError(f"workunit {name}: cannot read {path}; define workunits in a .py file")
    file = SourceFile(path, tuple(line.rstrip("\n") for line in lines))
    names = _visible_names(function)
    aliases = frozenset(name for name, value in names.items() if _is_pykokkos(value))
    changed = f"workunit {name}: {path} has changed since it was imported; restart Python"
    try:
        with _PARSER_LOCK:
            tree = _parse_file("".join(lines), path, aliases)
    except SyntaxError as error:
        raise KkspdnnError(changed) from error
    node = _find_function(tree, name, function.__code__.co_firstlineno)
    if node is None:
        raise KkspdnnError(changed)
    if not aliases:
        file.refuse(node, "the file does not import PyKokkos", _IMPORT_HINT)
    return FunctionSource(name, file, node, names, decorated.form)


@lru_cache(maxsize=8)
def _parse_file(text: str, path: str, aliases: frozenset[str]) -> ast.Module:
    """The syntax tree of a file. All its workunits share it, so it must not be changed.

    aliases: the names of the module of PyKokkos in this file
    """
    tree = ast.parse(text, path)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in aliases:
            node.id = "pk"
    return tree


def _find_function(tree: ast.Module, name: str, line: int) -> ast.FunctionDef | None:
    """The definition whose first line, or a decorator's, is `line`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef) or node.name != name:
            continue
        if line in (node.lineno, *(d.lineno for d in node.decorator_list)):
            return node
    return None


def _visible_names(function: Callable[..., Any]) -> Mapping[str, object]:
    """The globals of a function, and the variables of functions around it that it uses."""
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    if not cells:
        return function.__globals__
    outer = {name: cell.cell_contents for name, cell in cells.items() if _is_filled(cell)}
    return {**function.__globals__, **outer}


def _is_filled(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # the variable has no value yet
        return False


def _is_pykokkos(value: object) -> bool:
    return isinstance(value, ModuleType) and value.__name__ in _MODULES
