"""Guesses how a workunit is launched, and the types of its parameters without annotation.

PyKokkos takes both from the launch. Here they follow from how the workunit uses its parameters.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from kkspdnn.pk.frontend.roles import annotated_form
from kkspdnn.pk.signature import Form, Pattern, Types
from kkspdnn.pk.types import DOUBLE, INT32, INT64, Scalar, View


def guess_form(function: ast.FunctionDef) -> Form:
    """Return the form of the launches of a workunit.

    The first parameter is a team if one of its methods is called, and else an index. The second is
    the accumulator of a reduction if it is assigned to, and of a scan if the third is tested.
    """
    parameters = function.args.args
    annotated = annotated_form(parameters)
    pattern: Pattern = annotated.pattern
    rank = annotated.rank
    if parameters and parameters[0].annotation is None:
        rank = 0 if _has_methods(function, parameters[0].arg) else 1
    if pattern == "for" and len(parameters) > 1 and _is_assigned(function, parameters[1]):
        pattern = "reduce"
    if pattern == "reduce" and len(parameters) > 2 and _is_tested(function, parameters[2]):
        pattern = "scan"
    return Form(pattern, rank)


def guess_types(function: ast.FunctionDef, names: Sequence[str]) -> Iterator[Types]:
    """Yield types of the parameters `names`, the likeliest first.

    A parameter with k indices is a view of rank k. Parameters that are used in an index, in a range
    or for an `int` local are int32, others double. The next guesses are int64 for all, and int32
    for all.
    """
    ranks, integers = _ranks(function), _integers(function)
    yield tuple(_typed(INT32 if n in integers else DOUBLE, ranks.get(n, 0)) for n in names)
    for scalar in (INT64, INT32):
        yield tuple(_typed(scalar, ranks.get(name, 0)) for name in names)


def _typed(scalar: Scalar, rank: int) -> Scalar | View:
    return View(scalar, rank) if rank else scalar


def _has_methods(function: ast.FunctionDef, name: str) -> bool:
    return any(
        isinstance(node, ast.Attribute) and _name(node.value) == name for node in ast.walk(function)
    )


def _is_assigned(function: ast.FunctionDef, parameter: ast.arg) -> bool:
    if parameter.annotation is not None:
        return False
    for node in ast.walk(function):
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AugAssign):
            targets = [node.target]
        if parameter.arg in map(_name, targets):
            return True
    return False


def _is_tested(function: ast.FunctionDef, parameter: ast.arg) -> bool:
    if parameter.annotation is not None:
        return False
    tests = [node.test for node in ast.walk(function) if isinstance(node, ast.If)]
    return parameter.arg in map(_name, tests)


def _ranks(function: ast.FunctionDef) -> dict[str, int]:
    """The number of indices by the name of what they index."""
    ranks: dict[str, int] = {}
    for node in ast.walk(function):
        name, rank = _indexed(node)
        if name is not None:
            ranks[name] = max(ranks.get(name, 0), rank)
    return ranks


def _indexed(node: ast.AST) -> tuple[str | None, int]:
    """The name and the number of indices of `a[i][j]`, `a[i, :]` and `pk.atomic_…(a, [i], …)`."""
    match node:
        case ast.Subscript(value=value, slice=index):
            name, rank = _indexed(value)
            count = len(index.elts) if isinstance(index, ast.Tuple) else 1
            return name or _name(value), rank + count
        case ast.Call(func=ast.Attribute(), args=[ast.Name(id=name), ast.List(elts=indices), *_]):
            return name, len(indices)
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="extent")):
            return name, 1
    return None, 0


def _integers(function: ast.FunctionDef) -> set[str]:
    """The names in indices, in arguments of ranges, and in values of `int` locals."""
    parts: list[ast.expr] = []
    for node in ast.walk(function):
        match node:
            case ast.Subscript(slice=index):
                parts.append(index)
            case ast.Call(func=ast.Name(id="range"), args=arguments):
                parts += arguments
            case ast.Call(func=ast.Attribute(attr=name), args=arguments) if name.endswith("Range"):
                parts += arguments
            case ast.AnnAssign(annotation=ast.Name(id="int"), value=ast.expr() as value):
                parts.append(value)
            case ast.Call(func=ast.Attribute(), args=[ast.Name(), ast.List(elts=indices), *_]):
                parts += indices
    return {node.id for part in parts for node in ast.walk(part) if isinstance(node, ast.Name)}


def _name(node: ast.AST) -> str | None:
    return node.id if isinstance(node, ast.Name) else None
