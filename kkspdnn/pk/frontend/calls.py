"""The calls in expressions of the workunit language: math, conversions, atomics, functions."""

from __future__ import annotations

import ast
from difflib import get_close_matches
from types import FunctionType
from typing import Final

from kkspdnn.pk import ir
from kkspdnn.pk.frontend.annotations import is_pk
from kkspdnn.pk.frontend.expressions import Expressions
from kkspdnn.pk.frontend.intrinsics import (
    ATOMICS,
    ATOMICS_WITHOUT_VALUE,
    FACTORS,
    INSTEAD,
    INTEGER_ATOMICS,
    MATH,
    PREDICATES,
    SHIFT_ATOMICS,
)
from kkspdnn.pk.frontend.subviews import Subview
from kkspdnn.pk.frontend.workunit import Function
from kkspdnn.pk.types import (
    BOOL,
    DOUBLE,
    FLOAT,
    INT32,
    INT64,
    UINT32,
    Team,
    View,
    math_type,
    promote,
)

_TEAM_CALLS: Final = ("league_rank", "team_rank", "team_size")

_CONVERSIONS: Final = {"int": INT32, "float": DOUBLE, "bool": BOOL}
"""Python's own types, as functions."""

_ATOMIC_ARGUMENTS: Final = (
    ("a view and its indices", "view, [i]"),
    ("a view, its indices and a value", "view, [i], value"),
    (
        "a view, its indices, the value to compare with and the new value",
        "view, [i], compare, value",
    ),
)
"""In words and in Python, by the number of arguments after the indices."""

_PK_CONVERSIONS: Final = {"float": FLOAT, "double": DOUBLE}
"""`pk.NAME(x)`."""


class Calls(Expressions):
    """Analyses the calls of one function."""

    def device_function(self, call: ast.Call, function: Function) -> ir.DeviceFunction:
        """Return the IR of the `@pk.function` that `call` uses."""
        raise NotImplementedError

    def team_method(self, call: ast.Call) -> tuple[str, str] | None:
        """Return the team handle and the method if `call` is a method call on a team handle."""
        match call.func:
            case ast.Attribute(value=ast.Name(id=name), attr=method):
                if isinstance(self.find(name), Team):
                    return name, method
        return None

    def refuse_keywords(self, node: ast.Call) -> None:
        """Refuse a call with keyword arguments."""
        if node.keywords:
            self.refuse(
                node.keywords[0],
                "a keyword argument is not in the workunit language",
                "pass all arguments by position",
            )

    def call(self, node: ast.Call) -> ir.Expr:
        self.refuse_keywords(node)
        team = self.team_method(node)
        if team is not None:
            return self._team_call(node, *team)
        match node.func:
            case ast.Attribute(attr=name) if is_pk(node.func):
                return self._pk_call(node, name)
            case ast.Attribute(value=view, attr="extent"):
                return self._extent(node, view)
            case ast.Attribute(value=ast.Name(id=module), attr=name) if _is_math(name):
                if self.is_module(module, "math"):
                    return self._math(node, name)
                if self.is_module(module, "numpy", "cupy"):
                    self.refuse(node, f"{module}.{name} takes arrays", f"write math.{name}")
            case ast.Name(id=name) if self.find(name) is None:
                device = self.called_function(node)
                if device is not None:
                    call = self.function_call(node, device)
                    if device.result is None:
                        self.refuse(node, f"`{name}` has no result", "call it as a statement")
                    return call
                if name in _CONVERSIONS and len(node.args) == 1:
                    return ir.Cast(self.expression(node.args[0]), _CONVERSIONS[name])
                if name == "abs":
                    return self._absolute_value(node)
                if _is_math(name):
                    return self._math(node, name)
        self.refuse(node, "this function cannot be called in a workunit", self._call_hint(node))

    def _call_hint(self, node: ast.Call) -> str:
        """What to write instead of a call."""
        name = _name(node.func)
        if name in INSTEAD:
            return INSTEAD[name]
        if _root(node.func) == "math" and _is_math(name) and "math" not in self.source.names:
            return "write `import math` at the top of the file, or in a cell of the notebook"
        is_plain = isinstance(node.func, ast.Name)
        if is_plain and isinstance(self.source.names.get(name), FunctionType):
            return f"write @pk.function above def {name}, and annotate its parameters and result"
        near = get_close_matches(name, MATH, 1, 0.7)
        if near and (is_plain or self.is_module(_root(node.func), "math")):
            return f"did you mean math.{near[0]}?"
        return (
            "call int(…), float(…), abs(…), a @pk.function of this file, a pk atomic, "
            "or math.fmin, math.fmax, math.sqrt …"
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
        if name in ATOMICS_WITHOUT_VALUE:
            self.refuse(node, f"pk.{name} has no value", "use pk.atomic_fetch_add")
        if name in ATOMICS:
            return self.atomic(node, name)
        if name in _PK_CONVERSIONS and len(node.args) == 1:
            return ir.Cast(self.expression(node.args[0]), _PK_CONVERSIONS[name])
        self.refuse(node, f"pk.{name} cannot be called here", _pk_hint(name))

    def called_function(self, node: ast.Call) -> ir.DeviceFunction | None:
        """Return the `@pk.function` that a call names, else None."""
        match node.func:
            case ast.Name(id=name) if self.find(name) is None:
                function = self.source.names.get(name)
                if isinstance(function, Function):
                    return self.device_function(node, function)
        return None

    def function_call(self, node: ast.Call, device: ir.DeviceFunction) -> ir.Call:
        """Return a call of a `@pk.function`."""
        if len(node.args) != len(device.parameters):
            self.refuse(
                node,
                f"`{device.name}` takes {len(device.parameters)} argument(s)",
                "pass all arguments by position",
            )
        arguments = tuple(
            self._view_argument(argument, parameter, device)
            if isinstance(parameter, ir.ViewParameter)
            else self.converted(argument, parameter.type)
            for argument, parameter in zip(node.args, device.parameters, strict=True)
        )
        return ir.Call(device.name, arguments, device.result or INT32)

    def _view_argument(
        self, node: ast.expr, parameter: ir.ViewParameter, device: ir.DeviceFunction
    ) -> ir.ViewArgument:
        """Return a view that is passed to a `@pk.function`."""
        type_ = self.find(node.id) if isinstance(node, ast.Name) else None
        if isinstance(type_, Subview):
            self.refuse(node, "a subview cannot be an argument", "pass the view and the indices")
        if not isinstance(node, ast.Name) or not isinstance(type_, View):
            self.refuse(node, "this is not a view", f"pass a view for `{parameter.name}`")
        if type_ != parameter.view:
            self.refuse(
                node,
                f"`{node.id}` has {type_.rank} dimension(s) of {type_.element.name}",
                f"`{parameter.name}` is a pk.View{parameter.view.rank}D"
                f"[pk.{parameter.view.element.name}]",
            )
        if parameter.name in device.written:
            self.written.add(node.id)
        self.short_extents |= {(node.id, d) for n, d in device.short_extents if n == parameter.name}
        return ir.ViewArgument(node.id, type_.element)

    def _math(self, node: ast.Call, name: str) -> ir.Expr:
        count = MATH.get(name, 1)
        if len(node.args) != count:
            self.refuse(
                node,
                f"math.{name} takes {count} argument(s)",
                "pass all arguments by position",
            )
        arguments = tuple(self.expression(a) for a in node.args)
        if name in FACTORS:
            return ir.Binary("*", arguments[0], ir.Constant(FACTORS[name], DOUBLE), DOUBLE)
        type_ = math_type(a.type for a in arguments)
        return ir.Call(name, arguments, BOOL if name in PREDICATES else type_)

    def _absolute_value(self, node: ast.Call) -> ir.Expr:
        if len(node.args) != 1:
            self.refuse(node, "abs takes 1 argument(s)", "write abs(x)")
        value = self.expression(node.args[0])
        if value.type.is_float:
            return ir.Call("fabs", (value,), value.type)
        type_ = promote(value.type, INT32)
        if not type_.is_signed:
            return value
        return ir.Call("abs", (value,), type_)

    def _extent(self, node: ast.Call, view: ast.expr) -> ir.Expr:
        name = view.id if isinstance(view, ast.Name) else ""
        type_ = self.find(name)
        if not isinstance(type_, View | Subview):
            self.refuse(node, "this has no extent: it is not a view", "write a.extent(0)")
        match node.args:
            case [ast.Constant(value=int(dimension))] if (
                not isinstance(dimension, bool) and 0 <= dimension < type_.rank
            ):
                if isinstance(type_, Subview):
                    return type_.extent(dimension)
                return ir.Extent(name, dimension, INT64)
        self.refuse(
            node,
            f"`{name}` has {type_.rank} dimension(s)",
            f"write {name}.extent(0), with the dimension as a literal",
        )

    def atomic(self, node: ast.Call, name: str) -> ir.Atomic:
        """Return an atomic operation, as a statement or as a value."""
        count = ATOMICS[name]
        words, form = _ATOMIC_ARGUMENTS[count]
        hint = f"write pk.{name}({form})"
        if len(node.args) != 2 + count or not isinstance(node.args[1], ast.List):
            self.refuse(node, f"pk.{name} takes {words}", hint)
        view, indices, *values = node.args
        assert isinstance(indices, ast.List)
        target = self.atomic_target(view, indices, hint)
        if target.type.is_float and name in INTEGER_ATOMICS:
            self.refuse(node, f"pk.{name} needs integers", "use a view of integers")
        type_ = UINT32 if name in SHIFT_ATOMICS else target.type
        operands = tuple(self.converted(value, type_) for value in values)
        return ir.Atomic(name, target, operands, target.type)

    def atomic_target(self, view: ast.expr, indices: ast.List, hint: str) -> ir.Element:
        """Return the element that an atomic changes."""
        type_ = self.find(view.id) if isinstance(view, ast.Name) else None
        if not isinstance(view, ast.Name) or not isinstance(type_, View | Subview):
            self.refuse(view, "the target of an atomic is a view", hint)
        if len(indices.elts) != type_.rank:
            self.refuse(indices, f"`{view.id}` has {type_.rank} dimension(s)", hint)
        target = self.element_at(view.id, type_, indices.elts)
        self.written.add(target.array)
        return target


def _pk_hint(name: str) -> str:
    """What to write instead of `pk.name(…)`."""
    if _is_math(name):
        return f"write math.{name}"
    if name == "parallel_scan":
        return "there is no nested scan: write a loop that one thread of the team runs"
    fetch = name.replace("atomic_", "atomic_fetch_")
    near = [fetch] if fetch in ATOMICS else get_close_matches(name, ATOMICS, 1, 0.7)
    if near:
        return f"did you mean pk.{near[0]}?"
    return "nested patterns are statements: pk.parallel_for(…), or s: float = pk.parallel_reduce(…)"


def _is_math(name: str) -> bool:
    return name in MATH or name in FACTORS


def _root(function: ast.expr) -> str:
    """The `module` of `module.f`."""
    match function:
        case ast.Attribute(value=ast.Name(id=name)):
            return name
    return ""


def _name(function: ast.expr) -> str:
    """The last name of `f`, `module.f`, …"""
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""
