"""Finds the workunits outside classes in Python files, and takes each out of its file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_KEPT_IMPORTS: Final = frozenset({"math", "numpy", "pykokkos", "typing"})
"""The modules that a workunit may need when it is defined; other imports are left out."""

_FUTURE: Final = "from __future__ import annotations"
"""Leaves annotations to the compiler, which refuses those that name no type."""


@dataclass(frozen=True)
class FreeWorkunit:
    """A function with the decorator `pk.workunit`, outside a class.

    file: its path below the folder that was searched; line: of its `def`
    text: a file that has this function and the imports and `pk.function`s of its file, each in the
        same line
    """

    file: str
    node: ast.FunctionDef
    text: str

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def line(self) -> int:
        return self.node.lineno


def find_workunits(folder: Path) -> tuple[list[FreeWorkunit], int]:
    """Return the free workunits in the examples and tests of a checkout, by file and line, and the
    number of workunits in classes."""
    found: list[FreeWorkunit] = []
    methods = 0
    for part in ("examples", "tests"):
        for path in sorted((folder / part).rglob("*.py")):
            text = path.read_text("utf-8")
            tree = ast.parse(text, str(path))
            for node, in_class in _functions(tree, in_class=False):
                if not _has_decorator(node, "workunit"):
                    continue
                if in_class:
                    methods += 1
                else:
                    name = str(path.relative_to(folder))
                    found.append(FreeWorkunit(name, node, _extract(text, tree, node)))
    return found, methods


def _functions(tree: ast.AST, *, in_class: bool) -> Iterator[tuple[ast.FunctionDef, bool]]:
    """Yield all functions in the order of a file, and whether each is in a class."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            yield node, in_class
        yield from _functions(node, in_class=in_class or isinstance(node, ast.ClassDef))


def _has_decorator(function: ast.FunctionDef, name: str) -> bool:
    for decorator in function.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(called, ast.Attribute) and called.attr == name:
            return True
    return False


def _extract(text: str, tree: ast.Module, workunit: ast.FunctionDef) -> str:
    """Return the file of a workunit with other lines empty, so that lines keep their numbers."""
    lines = text.splitlines()
    kept = [""] * len(lines)
    functions = {
        node.name: node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and _has_decorator(node, "function")
    }
    for node in (*filter(_is_kept, tree.body), *_called(workunit, functions), workunit):
        _copy(lines, kept, node)
    kept[0] = f"{_FUTURE}; {kept[0]}" if kept[0] else _FUTURE
    return "\n".join(kept) + "\n"


def _is_kept(node: ast.stmt) -> bool:
    match node:
        case ast.Import(names=names):
            return all(each.name in _KEPT_IMPORTS for each in names)
        case ast.ImportFrom(module=str(module), level=0):
            return module in _KEPT_IMPORTS
    return False


def _called(
    function: ast.FunctionDef, functions: dict[str, ast.FunctionDef]
) -> Iterator[ast.FunctionDef]:
    """Yield the functions that a function uses, and those that these use."""
    used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    rest = {name: each for name, each in functions.items() if name not in used}
    for name in used & functions.keys():
        yield functions[name]
        yield from _called(functions[name], rest)


def _copy(lines: list[str], kept: list[str], node: ast.stmt) -> None:
    """Copy the lines of a statement, without its indentation."""
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef) else []
    begin = min([node.lineno, *(each.lineno for each in decorators)]) - 1
    for number in range(begin, node.end_lineno or node.lineno):
        kept[number] = lines[number][node.col_offset :]
