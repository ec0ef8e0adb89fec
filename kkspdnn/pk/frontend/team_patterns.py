"""`pk.single`, and ranges over pairs and triples of indices: `pk.TeamThreadMDRange`."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from kkspdnn.pk import ir
from kkspdnn.pk.frontend.annotations import is_pk, is_plain
from kkspdnn.pk.frontend.nested import NestedPatterns
from kkspdnn.pk.frontend.parse import FunctionSource
from kkspdnn.pk.frontend.scopes import Scope
from kkspdnn.pk.types import INT32

_NUMBER = ir.Name("_item", INT32)
"""The number of a pair of indices in row-major order."""


class TeamPatterns(NestedPatterns):
    """Analyses what the threads of a team run, apart from plain ranges."""

    def __init__(self, source: FunctionSource) -> None:
        super().__init__(source)
        self._extent_numbers = count()

    def single(self, call: ast.Call) -> ir.Stmt:
        """Return `pk.single(pk.PerTeam(m), function)`."""
        hint = "write pk.single(pk.PerTeam(m), once), with def once(): above"
        match call:
            case ast.Call(
                args=[ast.Call(func=ast.Attribute() as policy, args=[handle]), function],
                keywords=[],
            ) if is_pk(policy, "PerTeam") or is_pk(policy, "PerThread"):
                team = self.team(handle)
            case _:
                self.refuse(call, "pk.single takes pk.PerTeam or pk.PerThread and a function", hint)
        nested = self.find_nested(function, hint)
        node = nested.node
        if node.args.args or not is_plain(node.args) or node.decorator_list:
            self.refuse(node, "the function of pk.single takes no parameters", "write def once():")
        with self.scopes_of(nested):
            body = self.block(node.body, Scope(is_function=True, nonlocals=set()))
        return ir.Single(call.lineno, policy.attr, team, body)

    def nested_md_pattern(self, call: ast.Call, policy: ast.Call) -> Sequence[ir.Stmt]:
        """Return `pk.parallel_for(pk.TeamThreadMDRange(m, n0, n1), inner)`.

        It is a range over the numbers of the pairs. The counts are evaluated once, before it.
        """
        hint = "write pk.parallel_for(pk.TeamThreadMDRange(m, n0, n1), inner)"
        if not 3 <= len(policy.args) <= 4 or policy.keywords:
            self.refuse(policy, "a TeamThreadMDRange takes the team and 2 or 3 counts", hint)
        team, *counts = policy.args
        name, line = self.team(team), call.lineno
        declared = [
            ir.Declare(line, f"_extent{next(self._extent_numbers)}", INT32, self.count(each))
            for each in counts
        ]
        extents = [ir.Name(each.name, INT32) for each in declared]
        nested = self.find_nested(call.args[1], "define it above with def inner(i0: int, i1: int)")
        with self.scopes_of(nested):
            inner = self.inner_function(nested.node, None, len(counts))
        items = [parameter.arg for parameter in nested.node.args.args]
        body = (*_indices(line, items, extents), *inner.body)
        inner = replace(inner, index=_NUMBER.name, body=body)
        size: ir.Expr = extents[0]
        for extent in extents[1:]:
            size = ir.Binary("*", size, extent, INT32)
        return (
            *declared,
            ir.NestedPattern(line, "TeamThreadRange", name, (size,), inner, target=None),
        )


def _indices(line: int, names: Sequence[str], extents: Sequence[ir.Name]) -> list[ir.Stmt]:
    """The declarations of the indices of the pair with the number `_NUMBER`."""
    number: ir.Expr = _NUMBER
    declared: list[ir.Stmt] = []
    for name, extent in zip(reversed(names[1:]), reversed(extents[1:]), strict=True):
        declared.append(ir.Declare(line, name, INT32, ir.Binary("%", number, extent, INT32)))
        number = ir.Binary("/", number, extent, INT32)
    return [*declared, ir.Declare(line, names[0], INT32, number)]
