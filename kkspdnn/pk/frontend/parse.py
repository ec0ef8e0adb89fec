"""Parsing: from a decorated Python function to its syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import CellType
from typing import Any, Final

from kkspdnn.errors import KkspdnnError
from kkspdnn.pk.frontend.decorated import Decorated
from kkspdnn.pk.frontend.diagnostics import SourceFile
from kkspdnn.pk.frontend.pykokkos_names import find_unknown_pk, with_pykokkos_names
from kkspdnn.pk.frontend.roles import Roles, read_roles
from kkspdnn.pk.frontend.source_text import read_source
from kkspdnn.pk.signature import Form
from kkspdnn.pk.system.fork import ProcessLock


@dataclass(frozen=True)
class FunctionSource:
    """The syntax tree of a Python function.

    names: the names that it sees, in which the `@pk.function`s that it calls are found
    module: the globals of its file, or of all cells of its notebook
    form: of the launches that a workunit is compiled for; None if its annotations say it
    """

    name: str
    file: SourceFile
    node: ast.FunctionDef
    names: Mapping[str, object]
    module: Mapping[str, object]
    form: Form | None = None

    @property
    def roles(self) -> Roles:
        """The parameters of a workunit by role."""
        return read_roles(self.node.args.args, self.form)


_PARSER_LOCK = ProcessLock()
"""Python 3.11 counts the depth of all syntax trees in one variable: if garbage is collected inside
`ast.parse` while another thread parses, both raise SystemError (gh-106905)."""

_IMPORT_HINT: Final = (
    "write `import pykokkos as pk` or `from kkspdnn import pk` at the top of the file, or in a "
    "cell of the notebook"
)


def parse(decorated: Decorated) -> FunctionSource:
    """Return the syntax tree of a workunit or a `@pk.function`.

    In the tree the module of PyKokkos is called `pk`, whatever the file calls it.

    Raises KkspdnnError if it has no source or its file has changed since it was imported, and
    WorkunitError if what it calls `pk` is not PyKokkos.
    """
    function, name = decorated.function, decorated.__name__
    source = decorated.timed_cell or read_source(function, name)
    file = SourceFile(source.path, tuple(source.text.splitlines()))
    changed = f"workunit {name}: {file.path} has changed since it was imported; restart Python"
    try:
        with _PARSER_LOCK:
            tree = _parse_file(source.text, file.path)
    except SyntaxError as error:
        raise KkspdnnError(changed) from error
    found = _find_function(tree, name, source.line)
    if found is None:
        raise KkspdnnError(changed)
    names = _visible_names(function)
    unknown = find_unknown_pk(found, names)
    if unknown is not None:
        file.refuse(unknown, "`pk` is not PyKokkos here", _IMPORT_HINT)
    node = with_pykokkos_names(found, names)
    return FunctionSource(name, file, node, names, function.__globals__, decorated.form)


@lru_cache(maxsize=8)
def _parse_file(text: str, path: str) -> ast.Module:
    """The syntax tree of a file. All its workunits share it, so it must not be changed."""
    return ast.parse(text, path)


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
