"""Nested parallel patterns: `pk.parallel_for(pk.TeamThreadRange(m, n), inner)`."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from kkspdnn.pk import ir
from kkspdnn.pk.frontend.annotations import (
    accumulator_annotation,
    is_pk,
    is_plain,
    scalar_annotation,
)
from kkspdnn.pk.frontend.calls import Calls
from kkspdnn.pk.frontend.operators import check_conversion
from kkspdnn.pk.frontend.parse import FunctionSource
from kkspdnn.pk.frontend.scopes import Scope
from kkspdnn.pk.types import INT32, NestedFunction, Scalar, Team


@dataclass(frozen=True)
class NestedSource:
    """A function defined in a workunit, and the scopes around its definition."""

    node: ast.FunctionDef
    scopes: tuple[Scope, ...]


class NestedPatterns(Calls):
    """Analyses the nested functions of a workunit and the patterns that run them."""

    def __init__(self, source: FunctionSource) -> None:
        super().__init__(source)
        self._nested: dict[str, NestedSource] = {}

    def block(self, statements: Sequence[ast.stmt], scope: Scope) -> tuple[ir.Stmt, ...]:
        """Return the IR of the statements of a block."""
        raise NotImplementedError

    def define_nested(self, node: ast.FunctionDef) -> None:
        """Store a nested function, which is analysed again for each pattern that runs it."""
        # PyKokkos writes the function at its definition, so it sees the names declared above.
        scopes = tuple(scope.copy() for scope in self.scopes)
        self.declare(node, node.name, NestedFunction(node.name))
        self._nested[node.name] = NestedSource(node, scopes)

    def nested_reduction(
        self, node: ast.AnnAssign, target: ast.Name, type_: Scalar, call: ast.Call
    ) -> ir.Stmt:
        """Return `s: float = pk.parallel_reduce(…)`."""
        nested = self.nested_pattern(call, target.id)
        if nested.function.result != type_:
            self.refuse(
                node.annotation,
                f"`{target.id}` and the accumulator differ in type",
                "give both the same, for example float with pk.Acc[pk.double]",
            )
        self.declare(target, target.id, type_)
        return nested

    def nested_pattern(self, call: ast.Call, into: str | None) -> ir.NestedPattern:
        """Return a nested pattern; into: the local that gets the result of a reduction."""
        word = "parallel_for" if into is None else "parallel_reduce"
        hint = f"write pk.{word}(pk.TeamThreadRange(m, n), inner)"
        if len(call.args) != 2 or call.keywords:
            self.refuse(call, f"a nested pk.{word} takes a range and a function", hint)
        policy, function = call.args
        range_, team, bounds = self._policy(policy, hint)
        nested = self.find_nested(function, "define it above with def inner(i: int)")
        with self.scopes_of(nested):
            inner = self.inner_function(nested.node, into)
        return ir.NestedPattern(call.lineno, range_, team, bounds, inner, into)

    def count(self, node: ast.expr) -> ir.Expr:
        """Return the count of a range, an int32."""
        value = self.short_extent(self.integer(node))
        check_conversion(self.source.file, node, value.type, INT32)
        return value

    def find_nested(self, function: ast.expr, hint: str) -> NestedSource:
        """Return the nested function of this name."""
        if not isinstance(function, ast.Name) or not isinstance(
            self.find(function.id), NestedFunction
        ):
            self.refuse(function, "this is not a nested function", hint)
        return self._nested[function.id]

    def team(self, node: ast.expr) -> str:
        """Return the name of a team handle."""
        if not isinstance(node, ast.Name) or not isinstance(self.find(node.id), Team):
            self.refuse(node, "this is not a team handle", "pass the workunit's pk.TeamMember")
        return node.id

    def _policy(self, policy: ast.expr, hint: str) -> tuple[str, str, tuple[ir.Expr, ...]]:
        """The range, the team and the bounds of a nested policy."""
        if not isinstance(policy, ast.Call) or not (
            is_pk(policy.func, "TeamThreadRange") or is_pk(policy.func, "ThreadVectorRange")
        ):
            self.refuse(policy, "this is not a TeamThreadRange or a ThreadVectorRange", hint)
        assert isinstance(policy.func, ast.Attribute)
        if not 2 <= len(policy.args) <= 3 or policy.keywords:
            self.refuse(policy, "a range takes the team and a count", hint)
        team, *bounds = policy.args
        return policy.func.attr, self.team(team), tuple(self.count(bound) for bound in bounds)

    @contextmanager
    def scopes_of(self, function: NestedSource) -> Iterator[None]:
        """Analyse in the scopes of the definition of a nested function inside the block."""
        outside, self.scopes = self.scopes, list(function.scopes)
        try:
            yield
        finally:
            self.scopes = outside

    def inner_function(
        self, node: ast.FunctionDef, into: str | None, rank: int = 1
    ) -> ir.NestedFunction:
        """Return a nested function that a pattern runs.

        into: the local that gets the result of a reduction, else None
        rank: the number of work items
        """
        parameters = node.args.args
        expected = rank if into is None else 2
        hint = f"write def inner({', '.join(f'i{n}: int' for n in range(rank))})"
        if rank == 1:
            hint = "write def inner(i: int)"
        if into is not None:
            hint = "write def inner(i: int, acc: pk.Acc[pk.double])"
        if len(parameters) != expected or not is_plain(node.args) or node.decorator_list:
            self.refuse(node, f"a nested function here takes {expected} parameter(s)", hint)
        items = parameters[:rank]
        for item in items:
            if scalar_annotation(item.annotation) != INT32:
                self.refuse(item, "the work item is an int", hint)
        # Locals of the function share the scope of its parameters, so that it may assign to them.
        scope = Scope({}, {item.arg for item in items}, is_function=True)
        self.scopes.append(scope)
        for item in items:
            self.declare(item, item.arg, INT32)
        accumulator, result = None, None
        if into is not None:
            accumulator = parameters[1].arg
            result = accumulator_annotation(parameters[1].annotation)
            if result is None:
                self.refuse(
                    parameters[1],
                    f"`{accumulator}` is not an accumulator",
                    "write acc: pk.Acc[pk.double]",
                )
            self.declare(parameters[1], accumulator, result)
            scope.sums.add(accumulator)
            scope.partial_sums.add(accumulator)
        self.scopes.pop()
        return ir.NestedFunction(
            node.name, items[0].arg, accumulator, result, self.block(node.body, scope)
        )
