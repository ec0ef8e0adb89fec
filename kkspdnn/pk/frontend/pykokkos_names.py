"""Names of PyKokkos in the source of a function, whatever it calls them.

A file or another cell of a notebook may say `import pykokkos as pk`, `from kkspdnn import pk as p`,
`from pykokkos import View1D, double` or `real = pk.double`. The compiler reads `pk.View1D` alone.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from copy import deepcopy
from types import GenericAlias, ModuleType
from typing import Final

from kkspdnn.pk.types import BUILTINS
from kkspdnn.pykokkos_finder import LANGUAGE

_MODULES: Final = frozenset({"pykokkos", "kkspdnn.pk", LANGUAGE})
"""The modules that a workunit may call `pk`."""

_MISSING: Final = object()


def with_pykokkos_names(node: ast.FunctionDef, names: Mapping[str, object]) -> ast.FunctionDef:
    """Return a copy of a function in which PyKokkos is called `pk`.

    names: the values of the names that the function sees
    """
    copied: ast.FunctionDef = _Names(node, names).visit(deepcopy(node))
    return copied


def find_unknown_pk(node: ast.FunctionDef, names: Mapping[str, object]) -> ast.Name | None:
    """Return the first `pk` of a function that is not PyKokkos, else None."""
    if _is_pykokkos(names.get("pk")):
        return None
    unknown = (each for each in ast.walk(node) if isinstance(each, ast.Name) and each.id == "pk")
    return next(unknown, None)


class _Names(ast.NodeTransformer):
    """Writes `pk.NAME` for the names of PyKokkos, but not for the locals of the function."""

    def __init__(self, function: ast.FunctionDef, names: Mapping[str, object]) -> None:
        self._names = names
        self._locals = _locals(function)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return _expression(node, self._value(node)) or node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return _expression(node, self._value(node)) or self.generic_visit(node)

    def _value(self, node: ast.expr) -> object:
        """Return the value of a global name, or of an attribute of a module, if it is known."""
        match node:
            # Python's own types keep their meaning, also after `from pykokkos import *`.
            case ast.Name(id=name) if name not in self._locals and name not in BUILTINS:
                return self._names.get(name, _MISSING)
            case ast.Attribute(value=inner, attr=name):
                module = self._value(inner)
                # Other objects could compute their attributes.
                if isinstance(module, ModuleType):
                    return getattr(module, name, _MISSING)
        return _MISSING


def _expression(node: ast.expr, value: object) -> ast.expr | None:
    """Return the `pk`, `pk.NAME` or `pk.NAME[…]` that has a value, else None.

    node: gives the location in the source
    """
    new: ast.expr | None = None
    if _is_pykokkos(value):
        new = ast.Name("pk", ast.Load())
    elif isinstance(value, GenericAlias):  # Vector = pk.View1D[pk.double]
        origin, element = _expression(node, value.__origin__), value.__args__[0]
        item = _expression(node, element) or _builtin(element)
        if origin is not None and item is not None:
            new = ast.Subscript(origin, item, ast.Load())
    else:
        name = getattr(value, "__name__", None)
        if isinstance(name, str) and _of_language(name) is value:
            new = ast.Attribute(ast.Name("pk", ast.Load()), name, ast.Load())
    if new is None:
        return None
    return ast.fix_missing_locations(ast.copy_location(new, node))


def _builtin(value: object) -> ast.expr | None:
    """Return the name of one of Python's own types, else None."""
    found = (each for each in (int, float, bool) if each is value)
    return next((ast.Name(each.__name__, ast.Load()) for each in found), None)


def _locals(function: ast.FunctionDef) -> frozenset[str]:
    """Return the names that a function, or a function in it, binds."""
    found = set()
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.FunctionDef) and node is not function:
            found.add(node.name)
    return frozenset(found)


def _is_pykokkos(value: object) -> bool:
    return isinstance(value, ModuleType) and value.__name__ in _MODULES


def _of_language(name: str) -> object:
    """Return the value of a name of PyKokkos's API."""
    language = sys.modules.get(LANGUAGE)
    return _MISSING if language is None else vars(language).get(name, _MISSING)
