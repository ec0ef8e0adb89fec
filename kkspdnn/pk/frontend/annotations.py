"""Annotations of the workunit language: `int`, `pk.float`, `pk.View1D[pk.float]`, …"""

from __future__ import annotations

import ast

from kkspdnn.pk.types import BOOL, BUILTINS, SCALARS, SYNONYMS, Scalar, View


def is_pk(node: ast.AST | None, name: str | None = None) -> bool:
    """Return whether `node` is the expression `pk.name`, with any name if None."""
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "pk"
        and (name is None or node.attr == name)
    )


def scalar_annotation(node: ast.AST | None) -> Scalar | None:
    """Return the type of `int`, `float`, `bool`, `pk.float`, …, else None."""
    if isinstance(node, ast.Name):
        return BUILTINS.get(node.id)
    if isinstance(node, ast.Attribute) and is_pk(node):
        return SCALARS.get(SYNONYMS.get(node.attr, node.attr))
    return None


def annotation_of(type_: Scalar) -> str:
    """Return the annotation of a local of a type: `int`, `float`, `bool` or `pk.NAME`."""
    names = {builtin: name for name, builtin in BUILTINS.items()}
    return names.get(type_, f"pk.{type_.name}")


def annotated_rank(node: ast.AST | None, kind: str) -> int | None:
    """Return the rank of `pk.View1D[X]`, … for the kind `View`, whatever X is, else None."""
    ranks = (rank for rank in (1, 2, 3) if subscripted(node, f"{kind}{rank}D") is not None)
    return next(ranks, None)


def view_annotation(node: ast.AST | None, kind: str = "View") -> View | None:
    """Return the type of `pk.View1D[pk.float]`, …, else None.

    kind: the name without the rank: `View`, or `ScratchView` for scratch memory
    """
    rank = annotated_rank(node, kind)
    if rank is None:
        return None
    scalar = scalar_annotation(subscripted(node, f"{kind}{rank}D"))
    return None if scalar is None or scalar == BOOL else View(scalar, rank)


def accumulator_annotation(node: ast.AST | None) -> Scalar | None:
    """Return the type of the result of `pk.Acc[pk.double]`, …, else None."""
    scalar = scalar_annotation(subscripted(node, "Acc"))
    return None if scalar == BOOL else scalar


def subscripted(node: ast.AST | None, name: str) -> ast.expr | None:
    """Return the `X` of `pk.name[X]`, else None."""
    if isinstance(node, ast.Subscript) and is_pk(node.value, name):
        return node.slice
    return None


def is_none(node: ast.AST | None) -> bool:
    """Return whether an annotation is `None`."""
    return isinstance(node, ast.Constant) and node.value is None


def is_plain(arguments: ast.arguments) -> bool:
    """Return whether a parameter list has positional parameters without default values only."""
    return not arguments.defaults and not other_parameters(arguments)


def other_parameters(arguments: ast.arguments) -> list[ast.arg]:
    """Return `*args`, `**kwargs`, the keyword-only and the positional-only parameters."""
    variadic = [a for a in (arguments.vararg, arguments.kwarg) if a is not None]
    return [*variadic, *arguments.kwonlyargs, *arguments.posonlyargs]
