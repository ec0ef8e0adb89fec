"""Nested parallel patterns: `pk.parallel_for(pk.TeamThreadRange(m, n), inner)`."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

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
class _NestedFunction:
    """A function defined in a workunit, and the scopes around its definition."""

    node: ast.FunctionDef
    scopes: tuple[Scope, ...]


class NestedPatterns(Calls):
    """Analyses the nested functions of a workunit and the patterns that run them."""

    def __init__(self, source: FunctionSource) -> None:
        super().__init__(source)
        self._nested: dict[str, _NestedFunction] = {}
        self._hidden = count()

    def block(self, statements: Sequence[ast.stmt], scope: Scope) -> tuple[ir.Stmt, ...]:
        """Return the IR of the statements of a block."""
        raise NotImplementedError

    def define_nested(self, node: ast.FunctionDef) -> None:
        """Store a nested function, which is analysed again for each pattern that runs it."""
        # PyKokkos writes the function at its definition, so it sees the names declared above.
        scopes = tuple(scope.copy() for scope in self.scopes)
        self.declare(node, node.name, NestedFunction(node.name))
        self._nested[node.name] = _NestedFunction(node, scopes)

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
        inner = self._inner(self._find_nested(function), into)
        return ir.NestedPattern(call.lineno, range_, team, bounds, inner, into)

    def nested_md_pattern(self, call: ast.Call) -> Sequence[ir.Stmt]:
        """Return `pk.parallel_for(pk.TeamThreadMDRange(m, n0, n1), inner)`: a range over the
        numbers of the index pairs, in row-major order."""
        hint = "write pk.parallel_for(pk.TeamThreadMDRange(m, n0, n1), inner)"
        policy, function = call.args
        assert isinstance(policy, ast.Call)
        if not 3 <= len(policy.args) <= 4 or policy.keywords:
            self.refuse(policy, "a TeamThreadMDRange takes the team and 2 or 3 counts", hint)
        team, *counts = policy.args
        if not isinstance(team, ast.Name) or not isinstance(self.find(team.id), Team):
            self.refuse(team, "this is not a team handle", "pass the workunit's pk.TeamMember")
        extents = [self._count(each) for each in counts]
        declared = [
            ir.Declare(call.lineno, f"_extent{next(self._hidden)}", INT32, extent)
            for extent in extents
        ]
        names = [ir.Name(each.name, INT32) for each in declared]
        nested = self._find_nested(function)
        outside, self.scopes = self.scopes, list(nested.scopes)
        try:
            inner = self._inner_function(nested.node, None, len(counts))
        finally:
            self.scopes = outside
        number: ir.Expr = ir.Name("_item", INT32)
        indices: list[ir.Stmt] = []
        for name, extent in zip(reversed(_items(nested.node)), reversed(names), strict=True):
            if len(indices) < len(names) - 1:
                remainder = ir.Binary("%", number, extent, INT32)
                indices.insert(0, ir.Declare(call.lineno, name, INT32, remainder))
                number = ir.Binary("/", number, extent, INT32)
            else:
                indices.insert(0, ir.Declare(call.lineno, name, INT32, number))
        product: ir.Expr = names[0]
        for name_ in names[1:]:
            product = ir.Binary("*", product, name_, INT32)
        inner = replace(inner, index="_item", body=(*indices, *inner.body))
        pattern = ir.NestedPattern(
            call.lineno, "TeamThreadRange", team.id, (product,), inner, target=None
        )
        return (*declared, pattern)

    def _count(self, node: ast.expr) -> ir.Expr:
        value = self.integer(node)
        check_conversion(self.source.file, node, value.type, INT32)
        return value

    def _find_nested(self, function: ast.expr) -> _NestedFunction:
        """The nested function of this name."""
        if not isinstance(function, ast.Name) or not isinstance(
            self.find(function.id), NestedFunction
        ):
            self.refuse(
                function, "this is not a nested function", "define it above with def inner(i: int)"
            )
        return self._nested[function.id]

    def single(self, call: ast.Call) -> ir.Stmt:
        """Return `pk.single(pk.PerTeam(m), function)`."""
        hint = "write pk.single(pk.PerTeam(m), once), with def once(): above"
        match call:
            case ast.Call(
                args=[ast.Call(func=policy, args=[ast.Name(id=team) as handle]), ast.Name(id=name)],
                keywords=[],
            ) if is_pk(policy, "PerTeam") or is_pk(policy, "PerThread"):
                pass
            case _:
                self.refuse(call, "pk.single takes pk.PerTeam or pk.PerThread and a function", hint)
        assert isinstance(policy, ast.Attribute)
        if not isinstance(self.find(team), Team):
            self.refuse(handle, "this is not a team handle", "pass the workunit's pk.TeamMember")
        if not isinstance(self.find(name), NestedFunction):
            self.refuse(call.args[1], "this is not a nested function", hint)
        function = self._nested[name]
        node = function.node
        if node.args.args or not is_plain(node.args) or node.decorator_list:
            self.refuse(node, "the function of pk.single takes no parameters", "write def once():")
        outside, self.scopes = self.scopes, list(function.scopes)
        try:
            body = self.block(node.body, Scope(is_function=True, nonlocals=set()))
        finally:
            self.scopes = outside
        return ir.Single(call.lineno, policy.attr, team, body)

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
        if not isinstance(team, ast.Name) or not isinstance(self.find(team.id), Team):
            self.refuse(team, "this is not a team handle", "pass the workunit's pk.TeamMember")
        return policy.func.attr, team.id, tuple(self._count(bound) for bound in bounds)

    def _inner(self, function: _NestedFunction, into: str | None) -> ir.NestedFunction:
        """Analyse a nested function in the scopes of its definition."""
        outside, self.scopes = self.scopes, list(function.scopes)
        try:
            return self._inner_function(function.node, into)
        finally:
            self.scopes = outside

    def _inner_function(
        self, node: ast.FunctionDef, into: str | None, rank: int = 1
    ) -> ir.NestedFunction:
        """rank: the number of work items"""
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
        self.scopes.pop()
        return ir.NestedFunction(
            node.name, items[0].arg, accumulator, result, self.block(node.body, scope)
        )


def _items(function: ast.FunctionDef) -> list[str]:
    return [parameter.arg for parameter in function.args.args]
