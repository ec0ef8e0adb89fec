"""The expressions of the workunit language: from syntax trees to typed IR."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from kkspdnn.pk import ir
from kkspdnn.pk.frontend import operators
from kkspdnn.pk.frontend.intrinsics import CONSTANTS
from kkspdnn.pk.frontend.parse import FunctionSource
from kkspdnn.pk.frontend.scopes import Scopes
from kkspdnn.pk.frontend.subviews import Subview
from kkspdnn.pk.types import (
    BOOL,
    DOUBLE,
    INT32,
    INT64,
    LocalArray,
    Scalar,
    View,
)


class Expressions(Scopes):
    """Analyses the expressions of one function.

    written: the views that have been stored to so far
    short_extents: the views and dimensions whose extents must fit int32
    may_read_accumulators: whether the accumulator of a reduction may be read in an expression
    """

    def __init__(self, source: FunctionSource) -> None:
        super().__init__(source)
        self.written: set[str] = set()
        self.short_extents: set[tuple[str, int]] = set()
        self.may_read_accumulators = False

    def call(self, node: ast.Call) -> ir.Expr:
        """Return the IR of a call."""
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
                return self.call(node)
            case ast.Attribute(value=ast.Name(id=name), attr=constant) if (
                constant in CONSTANTS and self.is_module(name, "math")
            ):
                return ir.Constant(CONSTANTS[constant], DOUBLE)
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

    def short_extent(self, value: ir.Expr) -> ir.Expr:
        """Return the extent of a view, as the bound of a loop, as an int32; any other value as it
        is. A launch refuses an array with a larger extent."""
        if not isinstance(value, ir.Extent):
            return value
        self.short_extents.add((value.view, value.dimension))
        return ir.Cast(value, INT32)

    def element(self, node: ast.Subscript) -> ir.Element:
        """Return `view[i][j]`, or an element of a local array."""
        indices: list[ast.expr] = []
        array: ast.expr = node
        while isinstance(array, ast.Subscript):
            indices.insert(0, array.slice)
            array = array.value
        type_ = self.find(array.id) if isinstance(array, ast.Name) else None
        if not isinstance(array, ast.Name) or not isinstance(type_, View | LocalArray | Subview):
            self._refuse_array(array)
        for index in indices:
            if isinstance(index, (ast.Tuple, ast.Slice)):
                self.refuse(
                    index,
                    "slices and a[i, j] are not in the workunit language",
                    "write a[i][j], or row = a[i, :] and row[j]",
                )
        rank = 1 if isinstance(type_, LocalArray) else type_.rank
        if len(indices) != rank:
            self.refuse(
                node,
                f"`{array.id}` has {rank} dimension(s), not {len(indices)}",
                "index every dimension: a[i][j]",
            )
        return self.element_at(array.id, type_, indices)

    def _refuse_array(self, node: ast.expr) -> NoReturn:
        """Refuse what is indexed and is no array."""
        hint = "index a View1D … View3D argument"
        match node:
            case ast.Name(id=name) if self.find(name) is None:
                self.refuse(node, f"`{name}` is not defined here", self.similar(name, hint))
            case ast.Attribute(attr="shape", value=ast.Name(id=name)):
                hint = f"write {name}.extent(0)"
        self.refuse(node, "this is not a view or a local array", hint)

    def _check_index(
        self, node: ast.expr, index: ir.Expr, type_: View | LocalArray | Subview
    ) -> None:
        """Refuse a literal index that is outside in any case."""
        number = operators.constant_value(index)
        if number is None:
            return
        if number < 0:
            self.refuse(
                node,
                f"index {number} is before the first element",
                "count from the beginning: a[a.extent(0) - 1] is the last element",
            )
        if isinstance(type_, LocalArray) and number >= type_.length:
            self.refuse(
                node,
                f"index {number} is behind the last of {type_.length} element(s)",
                "write a longer literal",
            )

    def element_at(
        self, name: str, type_: View | LocalArray | Subview, indices: Sequence[ast.expr]
    ) -> ir.Element:
        """Return an element of the array `name`; indices: one for each of its dimensions."""
        values = tuple(self.integer(i) for i in indices)
        for index, value in zip(indices, values, strict=True):
            self._check_index(index, value, type_)
        if isinstance(type_, Subview):
            return ir.Element(type_.view, type_.indices(values), type_.element, local=False)
        return ir.Element(name, values, type_.element, isinstance(type_, LocalArray))

    def _name(self, node: ast.Name) -> ir.Name:
        type_ = self.find(node.id)
        if type_ is None and node.id in self.source.names:
            self.refuse(node, f"`{node.id}` is a global of Python", "pass its value as an argument")
        if type_ is None:
            hint = "pass it as an argument, or declare it above, in this block or one around it"
            self.refuse(node, f"`{node.id}` is not defined here", self.similar(node.id, hint))
        if not isinstance(type_, Scalar):
            self.refuse(node, f"`{node.id}` is not a number", "index the array, or call a method")
        if self.is_partial_sum(node.id) and not self.may_read_accumulators:
            self.refuse(
                node,
                f"`{node.id}` holds a part of the sum, which differs between threads",
                "add to it only, and use the result of the reduction after it",
            )
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

    def is_module(self, name: str, *modules: str) -> bool:
        """Return whether a name is one of these modules."""
        module = self.source.names.get(name)
        return (
            self.find(name) is None
            and isinstance(module, ModuleType)
            and module.__name__ in modules
        )
