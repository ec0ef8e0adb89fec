"""Parsing: from a decorated Python function to its syntax tree."""

from __future__ import annotations

import ast
import inspect
import linecache
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from kkspdnn.errors import KkspdnnError
from kkspdnn.pk.frontend.decorated import Decorated
from kkspdnn.pk.frontend.diagnostics import SourceFile
from kkspdnn.pk.signature import Form
from kkspdnn.pk.system.fork import ProcessLock


@dataclass(frozen=True)
class FunctionSource:
    """The syntax tree of a Python function.

    names: the globals of its module, in which the `@pk.function`s that it calls are found
    form: of the launches that a workunit is compiled for; None if its annotations say it
    """

    name: str
    file: SourceFile
    node: ast.FunctionDef
    names: Mapping[str, object]
    form: Form | None = None


_PARSER_LOCK = ProcessLock()
"""Python 3.11 counts the depth of all syntax trees in one variable: if garbage is collected inside
`ast.parse` while another thread parses, both raise SystemError (gh-106905)."""

_IMPORT_HINT: Final = "write `import pykokkos as pk` at the top of the file"


def parse(decorated: Decorated) -> FunctionSource:
    """Return the syntax tree of a workunit or a `@pk.function`.

    Raises KkspdnnError if its file cannot be read or has changed since it was imported, and
    WorkunitError if the file does not say `import pykokkos as pk`.
    """
    function, name = decorated.function, decorated.__name__
    path = inspect.getsourcefile(function)
    if path is None:
        raise KkspdnnError(f"workunit {name}: no source file; define workunits in a .py file")
    linecache.checkcache(path)
    lines = linecache.getlines(path)
    if not lines:
        raise KkspdnnError(f"workunit {name}: cannot read {path}; define workunits in a .py file")
    file = SourceFile(path, tuple(line.rstrip("\n") for line in lines))
    changed = f"workunit {name}: {path} has changed since it was imported; restart Python"
    try:
        with _PARSER_LOCK:
            tree = _parse_file("".join(lines), path)
    except SyntaxError as error:
        raise KkspdnnError(changed) from error
    node = _find_function(tree, name, function.__code__.co_firstlineno)
    if node is None:
        raise KkspdnnError(changed)
    if not any(_imports_pk(statement) for statement in tree.body):
        file.refuse(node, "the file does not import PyKokkos", _IMPORT_HINT)
    return FunctionSource(name, file, node, function.__globals__, decorated.form)


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


def _imports_pk(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Import) and any(
        alias.name == "pykokkos" and alias.asname == "pk" for alias in statement.names
    )
