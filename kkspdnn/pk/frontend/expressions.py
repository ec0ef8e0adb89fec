"""The expressions of the workunit language: Python trees to typed ir, and the names in scope."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import NoReturn

from kkspdnn.pk import ir
from kkspdnn.pk.frontend.parse import FunctionSource, check_name, is_pk
from kkspdnn.pk.frontend.refusals import ATOMICS, MATH, REFUSED
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
    Type,
    View,
    promoted,
)

ARITHMETIC = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.FloorDiv: "/",
    ast.Mod: "%",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
}
_INTEGER_ONLY = (ast.FloorDiv, ast.Mod, ast.LShift, ast.RShift, ast.BitAnd, ast.BitOr, ast.BitXor)
_SHIFTS = (ast.LShift, ast.RShift)
_COMPARISONS = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
_TEAM_CALLS = ("league_rank", "team_rank", "team_size")


@dataclass
class Scope:
    """Names of one C++ block; `fixed` may be read but not assigned."""

    types: dict[str, Type] = field(default_factory=dict)
    fixed: set[str] = field(default_factory=set)
    function_boundary: bool = False

    def copy(self) -> Scope:
        return Scope(dict(self.types), set(self.fixed), self.function_boundary)


class Expressions:
    """What is known while one function is read, and its expressions.

    written: the views that have been stored to so far
    """

    def __init__(self, source: FunctionSource) -> None:
        self.source = source
        self.scopes: list[Scope] = []
        self.written: set[str] = set()

    def device_function(self, call: ast.Call, function: Function) -> ir.DeviceFunction:
        """Read a `@pk.function` that `call` uses."""
        raise NotImplementedError

    # ---- names and refusals -------------------------------------------------------------------

    def refuse(self, node: ast.AST, what: str, instead: str) -> NoReturn:
        self.source.file.refuse(node, what, instead)

    def refused(self, place: ast.AST, construct: ast.AST | None = None) -> NoReturn:
        """Refuse what refusals.py lists; an operator has no place of its own in Python's tree."""
        kind = type(construct or place)
        what, instead = REFUSED.get(
            kind, (kind.__name__, "use the statements of the workunit language")
        )
        self.refuse(place, f"{what} is not in the workunit language", instead)

    def find(self, name: str) -> Type | None:
        for scope in reversed(self.scopes):
            if name in scope.types:
                return scope.types[name]
        return None

    def is_fixed(self, name: str) -> bool:
        return any(name in scope.fixed for scope in self.scopes)

    def is_captured(self, name: str) -> bool:
        """Does `name` belong to a function around the nested one that is being read?"""
        for scope in reversed(self.scopes):
            if name in scope.types:
                return False
            if scope.function_boundary:
                return True
        return False

    def declare(self, node: ast.AST, name: str, kind: Type) -> None:
        check_name(self.source, node, name)
        if self.find(name) is not None:
            self.refuse(
                node, f"`{name}` is declared already", "assign without a type, or rename it"
            )
        self.scopes[-1].types[name] = kind

    # ---- expressions --------------------------------------------------------------------------

    def integer(self, node: ast.expr) -> ir.Expr:
        value = self.expression(node)
        if not value.type.is_int:
            self.refuse(node, f"{value.type.name} is not a whole number", "use int or a pk integer")
        return value

    def converted(self, node: ast.AST, value: ir.Expr, kind: Scalar) -> ir.Expr:
        """Allow what C++ converts on assignment, but never drop the upper half of a 64-bit index
        or the fraction of a number unseen."""
        given = value.type
        if given.is_int and given.bits == 64 and kind.is_int and kind.bits < 64:
            self.refuse(
                node, f"{given.name} into {kind.name} may lose its upper bits", "write int(…)"
            )
        if given.is_float and not kind.is_float:
            self.refuse(node, f"{given.name} into {kind.name} drops the fraction", "write int(…)")
        return value

    def expression(self, node: ast.expr) -> ir.Expr:
        match node:
            case ast.Constant():
                return self.constant(node)
            case ast.Name():
                return self.name(node)
            case ast.Subscript():
                return self.element(node)
            case ast.BinOp():
                left, right = self.expression(node.left), self.expression(node.right)
                return self.arithmetic(node, node.op, left, right)
            case ast.UnaryOp():
                return self.unary(node)
            case ast.BoolOp():
                op = "&&" if isinstance(node.op, ast.And) else "||"
                values = [self.expression(v) for v in node.values]
                joined = values[0]
                for value in values[1:]:
                    joined = ir.Binary(op, joined, value, BOOL)
                return joined
            case ast.Compare():
                return self.comparison(node)
            case ast.Call():
                return self.call(node)
        self.refused(node)

    def name(self, node: ast.Name) -> ir.Name:
        kind = self.find(node.id)
        if kind is None:
            self.refuse(
                node,
                f"`{node.id}` is not known here",
                "pass it as an argument, or declare it above, in this block or one around it",
            )
        if not isinstance(kind, Scalar):
            self.refuse(node, f"`{node.id}` is not a number", "index the array, or call a method")
        return ir.Name(node.id, kind)

    def constant(self, node: ast.Constant) -> ir.Constant:
        value = node.value
        if isinstance(value, bool):
            return ir.Constant("true" if value else "false", BOOL)
        if isinstance(value, int):
            if value < 2**31:
                return ir.Constant(str(value), INT32)
            if value < 2**63:
                return ir.Constant(f"INT64_C({value})", INT64)
            self.refuse(node, f"{value} is past 2^63", "pass it as a pk.uint64 argument")
        if isinstance(value, float):
            if value == float("inf"):
                self.refuse(node, "this literal is infinite", "pass it as an argument")
            return ir.Constant(repr(value), DOUBLE)
        self.refuse(
            node,
            f"a {type(value).__name__} is not in the workunit language",
            "workunits have numbers only",
        )

    def element(self, node: ast.Subscript) -> ir.Element:
        indices: list[ast.expr] = []
        current: ast.expr = node
        while isinstance(current, ast.Subscript):
            indices.insert(0, current.slice)
            current = current.value
        kind = self.find(current.id) if isinstance(current, ast.Name) else None
        if not isinstance(current, ast.Name) or not isinstance(kind, (View, LocalArray)):
            self.refuse(
                current, "this is not a view or a local array", "index a View1D … View3D argument"
            )
        rank = kind.rank if isinstance(kind, View) else 1
        for index in indices:
            if isinstance(index, (ast.Tuple, ast.Slice)):
                self.refuse(
                    index, "slices and a[i, j] are not in the workunit language", "write a[i][j]"
                )
        if len(indices) != rank:
            self.refuse(
                node,
                f"`{current.id}` has {rank} dimension(s), not {len(indices)}",
                "index every dimension: a[i][j]",
            )
        return ir.Element(
            current.id,
            tuple(self.integer(i) for i in indices),
            kind.element,
            isinstance(kind, LocalArray),
        )

    # ---- operators ----------------------------------------------------------------------------

    def arithmetic(self, node: ast.AST, op: ast.operator, left: ir.Expr, right: ir.Expr) -> ir.Expr:
        if isinstance(op, ast.Pow):
            return ir.Call("pow", (left, right), DOUBLE)
        if isinstance(op, ast.Div):
            return ir.Binary("/", ir.Cast(left, DOUBLE), right, DOUBLE)
        if type(op) not in ARITHMETIC:
            self.refused(node, op)
        kind = promoted(left.type, right.type)
        if isinstance(op, _INTEGER_ONLY) and kind.is_float:
            self.refuse(
                node,
                f"{ARITHMETIC[type(op)] if type(op) is not ast.FloorDiv else '//'} "
                "is for whole numbers",
                "use / or math functions, or int(…) first",
            )
        if isinstance(op, _SHIFTS):
            return ir.Binary(ARITHMETIC[type(op)], left, right, promoted(left.type, INT32))
        self.same_sign(node, left, right)
        if isinstance(op, ast.FloorDiv):
            return self.floor_division(node, left, right, kind)
        return ir.Binary(ARITHMETIC[type(op)], left, right, kind)

    def floor_division(self, node: ast.AST, left: ir.Expr, right: ir.Expr, kind: Scalar) -> ir.Expr:
        """PyKokkos casts the quotient to a C++ int."""
        if kind.bits == 64:
            self.refuse(
                node,
                "PyKokkos narrows // to 32 bits",
                "divide 32-bit numbers, or shift by a power of two",
            )
        quotient = ir.Binary("/", left, right, kind)
        return quotient if kind == INT32 else ir.Cast(quotient, INT32)

    def same_sign(self, node: ast.AST, left: ir.Expr, right: ir.Expr) -> None:
        """C++ turns a negative number into a huge one when it meets an unsigned of its size."""
        wide = promoted(left.type, right.type)
        if not wide.is_int or wide.is_signed:
            return
        for a, b in ((left, right), (right, left)):
            if a.type.is_signed and not isinstance(a, ir.Constant) and b.type == wide:
                self.refuse(
                    node,
                    f"{a.type.name} meets {b.type.name}: C++ would make a negative number huge",
                    "copy the unsigned one into a pk.int64 local first",
                )

    def unary(self, node: ast.UnaryOp) -> ir.Expr:
        operand = self.expression(node.operand)
        match node.op:
            case ast.Not():
                return ir.Unary("!", operand, BOOL)
            case ast.Invert():
                if not operand.type.is_int:
                    self.refuse(node, "~ is for whole numbers", "use not for a bool")
                return ir.Unary("~", operand, promoted(operand.type, INT32))
        kind = promoted(operand.type, operand.type)
        if isinstance(node.op, ast.UAdd):
            return ir.Unary("+", operand, kind)
        if not kind.is_signed:
            self.refuse(
                node,
                f"minus a {kind.name}: C++ would give a huge number",
                "copy it into a pk.int64 local first",
            )
        return ir.Unary("-", operand, kind)

    def comparison(self, node: ast.Compare) -> ir.Expr:
        if len(node.ops) > 1:
            self.refuse(
                node,
                "a chained comparison is not in the workunit language",
                "write a < b and b < c",
            )
        op = node.ops[0]
        if type(op) not in _COMPARISONS:
            self.refused(node, op)
        left, right = self.expression(node.left), self.expression(node.comparators[0])
        self.same_sign(node, left, right)
        return ir.Binary(_COMPARISONS[type(op)], left, right, BOOL)

    # ---- calls --------------------------------------------------------------------------------

    def team_method(self, call: ast.Call) -> tuple[str, str] | None:
        """The team handle and the method that `call` is on, if it is on one."""
        match call.func:
            case ast.Attribute(value=ast.Name(id=name), attr=method):
                if isinstance(self.find(name), Team):
                    return name, method
        return None

    def call(self, node: ast.Call) -> ir.Expr:
        if node.keywords:
            self.refuse(
                node.keywords[0],
                "a keyword argument is not in the workunit language",
                "pass all by position",
            )
        team = self.team_method(node)
        if team is not None:
            if team[1] not in _TEAM_CALLS or node.args:
                methods = ", ".join(f"m.{method}()" for method in _TEAM_CALLS)
                self.refuse(
                    node,
                    f"`{ast.unparse(node)}` is not in the workunit language",
                    f"use {methods}, or m.team_barrier() as a statement",
                )
            return ir.TeamCall(team[0], team[1], INT32)
        function = node.func
        if is_pk(function):
            assert isinstance(function, ast.Attribute)
            if function.attr in ATOMICS:
                return self.atomic(node, function.attr)
            self.refuse(
                node,
                f"pk.{function.attr} cannot be called here",
                "nested patterns are statements: pk.parallel_for(…), or "
                "s: float = pk.parallel_reduce(…)",
            )
        match function:
            case ast.Attribute(attr="extent"):
                return self.extent(node, function)
            case ast.Attribute(value=ast.Name(id="math"), attr=name) if name in MATH:
                return self.math(node, name)
            case ast.Name(id="int") if len(node.args) == 1:
                return ir.Cast(self.expression(node.args[0]), INT32)
            case ast.Name(id=name) if self.find(name) is None:
                target = self.source.names.get(name)
                if isinstance(target, Function):
                    return self.function_call(node, name, target)
        self.refuse(
            node,
            "this function cannot be called in a workunit",
            "call int(…), a @pk.function of this file, a pk atomic, "
            "or math.fmin, math.fmax, math.sqrt …",
        )

    def function_call(self, node: ast.Call, name: str, function: Function) -> ir.Call:
        device = self.device_function(node, function)
        if len(node.args) != len(device.parameters):
            self.refuse(
                node, f"`{name}` takes {len(device.parameters)} argument(s)", "pass all by position"
            )
        arguments = tuple(
            self.converted(a, self.expression(a), p.type)
            for a, p in zip(node.args, device.parameters, strict=True)
        )
        return ir.Call(device.name, arguments, device.result)

    def math(self, node: ast.Call, name: str) -> ir.Expr:
        if len(node.args) != MATH[name]:
            self.refuse(
                node, f"math.{name} takes {MATH[name]} argument(s)", "pass them by position"
            )
        arguments = tuple(self.expression(a) for a in node.args)
        kind = FLOAT if all(a.type == FLOAT for a in arguments) else DOUBLE
        return ir.Call(name, arguments, kind)

    def extent(self, node: ast.Call, function: ast.Attribute) -> ir.Expr:
        name = function.value.id if isinstance(function.value, ast.Name) else ""
        kind = self.find(name)
        if not isinstance(kind, View):
            self.refuse(node, "this has no extent: it is not a view", "write a.extent(0)")
        match node.args:
            case [ast.Constant(value=int(dimension))] if (
                not isinstance(dimension, bool) and 0 <= dimension < kind.rank
            ):
                return ir.Extent(name, dimension, INT64)
        self.refuse(
            node,
            f"`{name}` has {kind.rank} dimension(s)",
            f"write {name}.extent(0), with the dimension as a literal",
        )

    def atomic(self, node: ast.Call, name: str) -> ir.Expr:
        hint = f"write pk.{name}(view, [i], value)"
        if len(node.args) != 3 or not isinstance(node.args[1], ast.List):
            self.refuse(node, f"pk.{name} takes a view, its indices and a value", hint)
        view, indices, value = node.args
        kind = self.find(view.id) if isinstance(view, ast.Name) else None
        if not isinstance(view, ast.Name) or not isinstance(kind, View):
            self.refuse(view, "an atomic works on a view", hint)
        assert isinstance(indices, ast.List)
        if len(indices.elts) != kind.rank:
            self.refuse(indices, f"`{view.id}` has {kind.rank} dimension(s)", hint)
        places = tuple(self.integer(i) for i in indices.elts)
        target = ir.Element(view.id, places, kind.element, local=False)
        self.written.add(view.id)
        operand = self.converted(value, self.expression(value), kind.element)
        if kind.element.is_float and name not in ("atomic_fetch_add", "atomic_fetch_sub"):
            self.refuse(node, f"pk.{name} is for whole numbers", "use a view of integers")
        return ir.Atomic(name, target, operand, kind.element)
