"""The names that a function sees, block by block."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import NoReturn

from kkspdnn.pk.frontend.parse import FunctionSource
from kkspdnn.pk.frontend.reserved import check_name
from kkspdnn.pk.frontend.subviews import Subview
from kkspdnn.pk.frontend.unsupported import refuse_construct
from kkspdnn.pk.types import Type


@dataclass
class Scope:
    """The names of one C++ block; those in `constant` cannot be assigned.

    is_function: whether the block is the body of a function, nested or not
    nonlocals: the names of the function around it that it may assign; None if it may assign none
    sums: the accumulators of a reduction or scan, to which a work item may only add
    partial_sums: those that it may not read, of a reduction
    """

    types: dict[str, Type | Subview] = field(default_factory=dict)
    constant: set[str] = field(default_factory=set)
    is_function: bool = False
    nonlocals: set[str] | None = None
    sums: set[str] = field(default_factory=set)
    partial_sums: set[str] = field(default_factory=set)

    def add(self, name: str, type_: Type, *, constant: bool = False) -> None:
        self.types[name] = type_
        if constant:
            self.constant.add(name)

    def copy(self) -> Scope:
        return replace(self, types=dict(self.types), constant=set(self.constant))


class Scopes:
    """The scopes at one point of a function, innermost last."""

    def __init__(self, source: FunctionSource) -> None:
        self.source = source
        self.scopes: list[Scope] = []

    def refuse(self, node: ast.AST, problem: str, hint: str) -> NoReturn:
        """Raise the WorkunitError for `node`."""
        self.source.file.refuse(node, problem, hint)

    def refuse_construct(self, node: ast.AST) -> NoReturn:
        """Raise the WorkunitError for a node that is not in the language."""
        refuse_construct(self.source.file, node)

    def find(self, name: str) -> Type | Subview | None:
        """Return the type of a visible name, else None."""
        for scope in reversed(self.scopes):
            if name in scope.types:
                return scope.types[name]
        return None

    def is_constant(self, name: str) -> bool:
        """Return whether a name may be read but not assigned."""
        return any(name in scope.constant for scope in self.scopes)

    def is_sum(self, name: str) -> bool:
        """Return whether a name is an accumulator."""
        return name in self._scope_of(name).sums

    def is_partial_sum(self, name: str) -> bool:
        """Return whether a name is the accumulator of a reduction."""
        return name in self._scope_of(name).partial_sums

    def _scope_of(self, name: str) -> Scope:
        """The scope that declares a name; an empty one if none does."""
        return next((scope for scope in reversed(self.scopes) if name in scope.types), Scope())

    def similar(self, name: str, hint: str) -> str:
        """Return what to write instead of a name that is not defined.

        hint: if no visible name is similar
        """
        visible = {each for scope in self.scopes for each in scope.types}
        near = get_close_matches(name, visible, 1, 0.5)
        return f"did you mean {near[0]}? Else {hint}" if near else hint

    def is_captured(self, name: str) -> bool:
        """Return whether a nested function sees `name` from the function around it, and may not
        assign it."""
        for scope in reversed(self.scopes):
            if name in scope.types:
                return False
            if scope.is_function and name not in (scope.nonlocals or ()):
                return True
        return False

    def declare(self, node: ast.AST, name: str, type_: Type | Subview) -> None:
        """Add a name to the innermost scope."""
        check_name(self.source.file, node, name)
        if self.find(name) is not None:
            self.refuse(
                node, f"`{name}` is already declared", "assign without a type, or rename it"
            )
        self.scopes[-1].types[name] = type_
