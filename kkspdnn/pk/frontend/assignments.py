"""Assignments to locals, elements and accumulators."""

from __future__ import annotations

import ast
from typing import NoReturn

from kkspdnn.pk import ir
from kkspdnn.pk.frontend import operators
from kkspdnn.pk.frontend.accumulators import adds_to
from kkspdnn.pk.frontend.annotations import annotation_of
from kkspdnn.pk.frontend.declarations import Declarations
from kkspdnn.pk.frontend.subviews import Subview
from kkspdnn.pk.frontend.unsupported import UNSUPPORTED
from kkspdnn.pk.types import Scalar, View


class Assignments(Declarations):
    """Analyses the assignments of one function."""

    def assignment(self, node: ast.Assign) -> ir.Stmt:
        """Return `target = value`."""
        if len(node.targets) != 1:
            self.refuse(
                node, "a = b = c is not in the workunit language", "write one assignment a line"
            )
        (left,) = node.targets
        if isinstance(left, ast.Name) and self.find(left.id) is None:
            self._refuse_undeclared(left, node.value)
        target = self._target(left)
        if isinstance(left, ast.Name) and self.is_sum(left.id):
            if not adds_to(node.value, left.id):
                self._refuse_accumulation(node, left.id)
            self.may_read_accumulators = True
        try:
            value = self.expression(node.value)
        finally:
            self.may_read_accumulators = False
        self._check_assignment(node.value, value.type, target)
        return ir.Assign(node.lineno, target, "=", value)

    def _check_assignment(self, node: ast.AST, value: Scalar, target: ir.Name | ir.Element) -> None:
        """Refuse or warn of the assignment of a value of this type if it loses the value.

        A number with a fraction is stored to an element of integers as in NumPy: without it.
        """
        match target:
            case ir.Element(local=False, array=view) if value.is_float and target.type.is_int:
                self.source.file.warn(
                    node,
                    f"{value.name} stored to `{view}` of {target.type.name} loses its fraction",
                    "write int(…) to say so",
                )
            case _:
                operators.check_conversion(self.source.file, node, value, target.type)

    def augmented_assignment(self, node: ast.AugAssign) -> ir.Stmt:
        """Return `target += value` and the like."""
        if isinstance(node.op, ast.Pow):
            self.refuse(node, "**= is not in the workunit language", "write x = x ** y")
        target = self._target(node.target)
        is_addition = isinstance(node.op, ast.Add | ast.Sub)
        if isinstance(target, ir.Name) and self.is_sum(target.name) and not is_addition:
            self._refuse_accumulation(node, target.name)
        value = self.expression(node.value)
        result = operators.binary(self.source.file, node, node.op, target, value)
        if isinstance(node.op, ast.Div):
            # C++ divides in the wider type of both, as PyKokkos's /= does.
            if not target.type.is_float:
                self._check_assignment(node, result.type, target)
            return ir.Assign(node.lineno, target, "/=", value)
        self._check_assignment(node, result.type, target)
        return ir.Assign(node.lineno, target, operators.ARITHMETIC[type(node.op)] + "=", value)

    def _target(self, target: ast.expr) -> ir.Name | ir.Element:
        """The local or the element that an assignment writes to."""
        if isinstance(target, ast.Name):
            return self._local_target(target)
        if isinstance(target, ast.Subscript):
            element = self.element(target)
            if not element.local:
                self.written.add(element.array)
            elif self.is_captured(element.array):
                self._refuse_captured(target, element.array)
            return element
        if type(target) in UNSUPPORTED:
            self.refuse_construct(target)
        self.refuse(
            target, "this cannot be assigned", "assign to a local or to an element of a view"
        )

    def _local_target(self, target: ast.Name) -> ir.Name:
        type_ = self.find(target.id)
        if type_ is None:
            self._refuse_undeclared(target, None)
        if not isinstance(type_, Scalar) or self.is_constant(target.id):
            self.refuse(target, f"`{target.id}` cannot be assigned", "copy it into a local first")
        if self.is_captured(target.id):
            self._refuse_captured(target, target.id)
        return ir.Name(target.id, type_)

    def _refuse_undeclared(self, target: ast.Name, value: ast.expr | None) -> NoReturn:
        """Refuse an assignment to a name that has no type; value: what is assigned, if it is."""
        annotation = "float"
        if isinstance(value, ast.List):
            annotation = "List[float]"
        elif isinstance(value, ast.Name) and isinstance(self.find(value.id), View | Subview):
            self.refuse(
                value,
                f"`{value.id}` is a view, which has one name",
                "use this name; row = a[i, :] names a part of a view",
            )
        elif value is not None:
            annotation = annotation_of(self.expression(value).type)
        self.refuse(
            target,
            f"`{target.id}` is not declared in this block",
            f"declare it where every use sees it: `{target.id}: {annotation} = …`",
        )

    def _refuse_accumulation(self, node: ast.AST, name: str) -> NoReturn:
        self.refuse(
            node,
            f"`{name}` is an accumulator: reductions and scans compute sums",
            f"write {name} += x; for a maximum use pk.atomic_fetch_max on a view",
        )

    def _refuse_captured(self, node: ast.AST, name: str) -> NoReturn:
        self.refuse(
            node,
            f"`{name}` is a local of the enclosing workunit",
            "use a nested pk.parallel_reduce with a pk.Acc, or a view",
        )
