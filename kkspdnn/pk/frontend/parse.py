"""From a decorated Python function to its syntax tree and parameters."""

from __future__ import annotations

import ast
import inspect
import linecache
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from kkspdnn.errors import KkspdnnError
from kkspdnn.pk.frontend.decorated import Decorated
from kkspdnn.pk.frontend.diagnostics import SourceFile
from kkspdnn.pk.frontend.refusals import CPP_WORDS
from kkspdnn.pk.signature import Parameter, Pattern, Signature, Types
from kkspdnn.pk.system.fork import ProcessLock
from kkspdnn.pk.types import BUILTINS, SCALARS, Scalar, View


@dataclass(frozen=True)
class FunctionSource:
    """The syntax tree of a Python function.

    names: the globals of its module, in which the `@pk.function`s that it calls are found
    """

    name: str
    file: SourceFile
    node: ast.FunctionDef
    names: Mapping[str, object]

    @property
    def generic(self) -> tuple[str, ...]:
        """The parameters of a workunit without annotation."""
        return tuple(a.arg for a in self.node.args.args[1:] if a.annotation is None)


_ONE_AT_A_TIME = ProcessLock()
"""Python 3.11 counts the depth of all trees in one place: where garbage is collected inside
`ast.parse` and another thread parses meanwhile, both raise SystemError (gh-106905)."""


def parse(decorated: Decorated) -> FunctionSource:
    """Return the syntax tree of a workunit or a `@pk.function`.

    Raises KkspdnnError if its file cannot be read or has changed, and WorkunitError if the file
    does not say `import pykokkos as pk`.
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
        with _ONE_AT_A_TIME:
            tree = _parsed("".join(lines), path)
    except SyntaxError as error:
        raise KkspdnnError(changed) from error
    first = function.__code__.co_firstlineno
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            starts = [node.lineno, *(d.lineno for d in node.decorator_list)]
            if first in starts:
                if not any(_imports_pk(statement) for statement in tree.body):
                    file.refuse(node, "the file does not import PyKokkos", _IMPORT_HINT)
                return FunctionSource(name, file, node, function.__globals__)
    raise KkspdnnError(changed)


@lru_cache(maxsize=8)
def _parsed(text: str, path: str) -> ast.Module:
    """The syntax tree of a file. All its workunits share it, so it must not be changed."""
    return ast.parse(text, path)


_IMPORT_HINT = "write `import pykokkos as pk` at the top of the file"


def _imports_pk(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Import) and any(
        alias.name == "pykokkos" and alias.asname == "pk" for alias in statement.names
    )


def is_pk(node: ast.AST, name: str | None = None) -> bool:
    """Is `node` the expression `pk.name` (any name when None)?"""
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "pk"
        and (name is None or node.attr == name)
    )


def scalar_annotation(node: ast.AST | None) -> Scalar | None:
    """`int`, `float`, `bool`, `pk.float` …, or None where it is none of these."""
    if isinstance(node, ast.Name):
        return BUILTINS.get(node.id)
    if isinstance(node, ast.Attribute) and is_pk(node):
        return SCALARS.get(node.attr)
    return None


def subscripted(node: ast.AST | None, name: str) -> ast.expr | None:
    """The `X` of an annotation `pk.name[X]`, else None."""
    if isinstance(node, ast.Subscript) and is_pk(node.value, name):
        return node.slice
    return None


def _view_annotation(node: ast.AST | None) -> View | None:
    for rank in (1, 2, 3):
        element = subscripted(node, f"View{rank}D")
        if element is not None:
            scalar = scalar_annotation(element)
            return None if scalar is None or scalar.name == "bool" else View(scalar, rank)
    return None


def check_name(source: FunctionSource, node: ast.AST, name: str) -> None:
    """Refuse a name that the generated C++ cannot have."""
    if name in CPP_WORDS or name.startswith("_") or not name.isascii():
        source.file.refuse(node, f"`{name}` is taken in C++", "give it another name")


def check_function_name(source: FunctionSource) -> None:
    """Refuse a `@pk.function` whose name the generated C++ cannot have."""
    if source.name in CPP_WORDS or source.name == "lanes" or not source.name.isascii():
        source.file.refuse(source.node, f"`{source.name}` is taken in C++", "give it another name")


def read_signature(source: FunctionSource, types: Types) -> Signature:
    """Sort a workunit's parameters into work item, accumulator and arguments.

    types: of the parameters without annotation
    """
    inferred = dict(zip(source.generic, types, strict=True))
    arguments = source.node.args
    refuse = source.file.refuse
    for odd in (arguments.vararg, arguments.kwarg, *arguments.kwonlyargs, *arguments.posonlyargs):
        if odd is not None:
            refuse(odd, "only plain parameters are allowed", "name every argument")
    if arguments.defaults:
        refuse(arguments.defaults[0], "a default value", "pass every argument at the launch")
    if source.node.returns is not None and not _is_none(source.node.returns):
        refuse(source.node.returns, "a workunit returns nothing", "use a pk.Acc or a view")
    given = list(arguments.args)
    if not given:
        refuse(source.node, "a workunit needs a work item", "start with `i: int` or a TeamMember")
    for argument in given:
        check_name(source, argument, argument.arg)
    first = given.pop(0)
    team = is_pk(first.annotation, "TeamMember") if first.annotation is not None else False
    if not team and not (isinstance(first.annotation, ast.Name) and first.annotation.id == "int"):
        refuse(
            first, "the first parameter is the work item", "write `i: int` or `m: pk.TeamMember`"
        )
    pattern: Pattern = "for"
    accumulator, result, last = None, None, None
    if given and (inner := subscripted(given[0].annotation, "Acc")) is not None:
        pattern = "reduce"
        accumulator = given[0].arg
        result = scalar_annotation(inner)
        if result is None or result.name == "bool":
            refuse(
                given[0], "unknown accumulator type", "write pk.Acc[pk.double] or pk.Acc[pk.int64]"
            )
        given.pop(0)
        if given and isinstance(given[0].annotation, ast.Name) and given[0].annotation.id == "bool":
            pattern = "scan"
            last = given.pop(0).arg
            if team:
                refuse(first, "a scan over teams", "scan over a RangePolicy: `i: int`")
    parameters = []
    for argument in given:
        if argument.annotation is None:
            kind = inferred.get(argument.arg)
        else:
            kind = _view_annotation(argument.annotation) or scalar_annotation(argument.annotation)
        if kind is None:
            refuse(
                argument,
                f"parameter `{argument.arg}` has no type that workunits know",
                "write pk.View1D[pk.float] (1D to 3D; int8 … uint64, float, double), int, float, "
                "bool or a pk scalar, or leave the annotation out: then the launch decides",
            )
        parameters.append(Parameter(argument.arg, kind))
    return Signature(pattern, team, first.arg, accumulator, result, last, tuple(parameters))


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
