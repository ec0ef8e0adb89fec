"""The expressions of the workunit language: from syntax trees to typed IR."""

from __future__ import annotations

import ast
from typing import Final

from kkspdnn.pk import ir
from kkspdnn.pk.frontend import operators
from kkspdnn.pk.frontend.annotations import is_pk
from kkspdnn.pk.frontend.intrinsics import ATOMICS, MATH
from kkspdnn.pk.frontend.parse import FunctionSource
from kkspdnn.pk.frontend.scopes import Scopes
from kkspdnn.pk.frontend.workunit import Function
from kkspdnn.pk.types import (
    BOOL,
    DOUBLE,
    FLOAT,
    INT32,
    INT64,
    LocalArray,
    Scalar,
    Team,
    View,
)

_TEAM_CALLS: Final = ("league_rank", "team_rank", "team_size")


class Expressions(Scopes):
    """Analyses the expressions of one function.

    written: the views that have been stored to so far
    """

    def __init__(self, source: FunctionSource) -> None:
        super().__init__(source)
        self.written: set[str] = set()

    def device_function(self, call: ast.Call, function: Function) -> ir.DeviceFunction:
        """Return the IR of the `@pk.function` that `call` uses."""
        raise NotImplementedError

    def expression(self, node: ast.expr) -> ir.Expr:
        """Return the IR of an expression."""
        file = self.source.file
        match node:
            case ast.Constant():
                return self._constant(node)
            case ast.Name():
                return self._name(node)
            case ast.Subscript():
                return self.element(node)
            case ast.BinOp():
                left, right = self.expression(node.left), self.expression(node.right)
                return operators.binary(file, node, node.op, left, right)
            case ast.UnaryOp():
                return operators.unary(file, node, self.expression(node.operand))
            case ast.BoolOp():
                op = "&&" if isinstance(node.op, ast.And) else "||"
                first, *rest = (self.expression(v) for v in node.values)
                for value in rest:
                    first = ir.Binary(op, first, value, BOOL)
                return first
            case ast.Compare():
                op = operators.comparison_operator(file, node)
                left, right = self.expression(node.left), self.expression(node.comparators[0])
                return operators.comparison(file, node, op, left, right)
            case ast.Call():
                return self._call(node)
        self.refuse_construct(node)

    def converted(self, node: ast.expr, target: Scalar) -> ir.Expr:
        """Return an expression that C++ converts to `target`, refused if it loses its value."""
        value = self.expression(node)
        operators.check_conversion(self.source.file, node, value.type, target)
        return value

    def integer(self, node: ast.expr) -> ir.Expr:
        """Return an expression that must be an integer."""
        value = self.expression(node)
        if not value.type.is_int:
            self.refuse(node, f"{value.type.name} is not an integer", "use int or a pk integer")
        return value

    def element(self, node: ast.Subscript) -> ir.Element:
        """Return `view[i][j]`, or an element of a local array."""
        indices: list[ast.expr] = []
        array: ast.expr = node
        while isinstance(array, ast.Subscript):
            indices.insert(0, array.slice)
            array = array.value
        type_ = self.find(array.id) if isinstance(array, ast.Name) else None
        if not isinstance(array, ast.Name) or not isinstance(type_, (View, LocalArray)):
            self.refuse(
                array, "this is not a view or a local array", "index a View1D … View3D argument"
            )
        for index in indices:
            if isinstance(index, (ast.Tuple, ast.Slice)):
                self.refuse(
                    index, "slices and a[i, j] are not in the workunit language", "write a[i][j]"
                )
        rank = type_.rank if isinstance(type_, View) else 1
        if len(indices) != rank:
            self.refuse(
                node,
                f"`{array.id}` has {rank} dimension(s), not {len(indices)}",
                "index every dimension: a[i][j]",
            )
        values = tuple(self.integer(i) for i in indices)
        return ir.Element(array.id, values, type_.element, isinstance(type_, LocalArray))

    def _name(self, node: ast.Name) -> ir.Name:
        type_ = self.find(node.id)
        if type_ is None:
            self.refuse(
                node,
                f"`{node.id}` is not defined here",
                "pass it as an argument, or declare it above, in this block or one around it",
            )
        if not isinstance(type_, Scalar):
            self.refuse(node, f"`{node.id}` is not a number", "index the array, or call a method")
        return ir.Name(node.id, type_)

    def _constant(self, node: ast.Constant) -> ir.Constant:
        value = node.value
        if isinstance(value, bool):
            return ir.Constant(value, BOOL)
        if isinstance(value, int):
            if value < 2**31:
                return ir.Constant(value, INT32)
            if value < 2**63:
                return ir.Constant(value, INT64)
            self.refuse(node, f"{value} does not fit int64", "pass it as a pk.uint64 argument")
        if isinstance(value, float):
            if value == float("inf"):
                self.refuse(node, "this literal is infinite", "pass it as an argument")
            return ir.Constant(value, DOUBLE)
        self.refuse(
            node,
            f"a {type(value).__name__} is not in the workunit language",
            "workunits have numbers only",
        )

    # ---- calls --------------------------------------------------------------------------------

    def team_method(self, call: ast.Call) -> tuple[str, str] | None:
        """Return the team handle and the method if `call` is a method call on a team handle."""
        match call.func:
            case ast.Attribute(value=ast.Name(id=name), attr=method):
                if isinstance(self.find(name), Team):
                    return name, method
        return None

    def _call(self, node: ast.Call) -> ir.Expr:
        if node.keywords:
            self.refuse(
                node.keywords[0],
                "a keyword argument is not in the workunit language",
                "pass all arguments by position",
            )
        team = self.team_method(node)
        if team is not None:
            return self._team_call(node, *team)
        match node.func:
            case ast.Attribute(attr=name) if is_pk(node.func):
                return self._pk_call(node, name)
            case ast.Attribute(value=view, attr="extent"):
                return self._extent(node, view)
            case ast.Attribute(value=ast.Name(id="math"), attr=name) if name in MATH:
                return self._math(node, name)
            case ast.Name(id="int") if len(node.args) == 1:
                return ir.Cast(self.expression(node.args[0]), INT32)
            case ast.Name(id=name) if self.find(name) is None:
                target = self.source.names.get(name)
                if isinstance(target, Function):
                    return self._function_call(node, name, target)
        self.refuse(
            node,
            "this function cannot be called in a workunit",
            "call int(…), a @pk.function of this file, a pk atomic, "
            "or math.fmin, math.fmax, math.sqrt …",
        )

    def _team_call(self, node: ast.Call, team: str, method: str) -> ir.TeamCall:
        if method not in _TEAM_CALLS or node.args:
            methods = ", ".join(f"m.{name}()" for name in _TEAM_CALLS)
            self.refuse(
                node,
                f"`{ast.unparse(node)}` is not in the workunit language",
                f"use {methods}, or m.team_barrier() as a statement",
            )
        return ir.TeamCall(team, method, INT32)

    def _pk_call(self, node: ast.Call, name: str) -> ir.Expr:
        if name in ATOMICS:
            return self._atomic(node, name)
        self.refuse(
            node,
            f"pk.{name} cannot be called here",
            "nested patterns are statements: pk.parallel_for(…), or "
            "s: float = pk.parallel_reduce(…)",
        )

    def _function_call(self, node: ast.Call, name: str, function: Function) -> ir.Call:
        device = self.device_function(node, function)
        if len(node.args) != len(device.parameters):
            self.refuse(
                node,
                f"`{name}` takes {len(device.parameters)} argument(s)",
                "pass all arguments by position",
            )
        arguments = tuple(
            self.converted(a, p.type) for a, p in zip(node.args, device.parameters, strict=True)
        )
        return ir.Call(device.name, arguments, device.result)

    def _math(self, node: ast.Call, name: str) -> ir.Expr:
        if len(node.args) != MATH[name]:
            self.refuse(
                node,
                f"math.{name} takes {MATH[name]} argument(s)",
                "pass all arguments by position",
            )
        arguments = tuple(self.expression(a) for a in node.args)
        type_ = FLOAT if all(a.type == FLOAT for a in arguments) else DOUBLE
        return ir.Call(name, arguments, type_)

    def _extent(self, node: ast.Call, view: ast.expr) -> ir.Expr:
        name = view.id if isinstance(view, ast.Name) else ""
        type_ = self.find(name)
        if not isinstance(type_, View):
            self.refuse(node, "this has no extent: it is not a view", "write a.extent(0)")
        match node.args:
            case [ast.Constant(value=int(dimension))] if (
                not isinstance(dimension, bool) and 0 <= dimension < type_.rank
            ):
                return ir.Extent(name, dimension, INT64)
        self.refuse(
            node,
            f"`{name}` has {type_.rank} dimension(s)",
            f"write {name}.extent(0), with the dimension as a literal",
        )

    def _atomic(self, node: ast.Call, name: str) -> ir.Expr:
        hint = f"write pk.{name}(view, [i], value)"
        if len(node.args) != 3 or not isinstance(node.args[1], ast.List):
            self.refuse(node, f"pk.{name} takes a view, its indices and a value", hint)
        view, indices, value = node.args
        type_ = self.find(view.id) if isinstance(view, ast.Name) else None
        if not isinstance(view, ast.Name) or not isinstance(type_, View):
            self.refuse(view, "the target of an atomic is a view", hint)
        assert isinstance(indices, ast.List)
        if len(indices.elts) != type_.rank:
            self.refuse(indices, f"`{view.id}` has {type_.rank} dimension(s)", hint)
        values = tuple(self.integer(i) for i in indices.elts)
        target = ir.Element(view.id, values, type_.element, local=False)
        self.written.add(view.id)
        operand = self.converted(value, type_.element)
        if type_.element.is_float and name not in ("atomic_fetch_add", "atomic_fetch_sub"):
            self.refuse(node, f"pk.{name} needs integers", "use a view of integers")
        return ir.Atomic(name, target, operand, type_.element)
