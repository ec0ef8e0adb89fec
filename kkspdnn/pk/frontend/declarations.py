"""Declarations of locals, local arrays, scratch views and subviews."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import NoReturn

from kkspdnn.pk import ir
from kkspdnn.pk.frontend.annotations import (
    annotated_rank,
    is_pk,
    scalar_annotation,
    view_annotation,
)
from kkspdnn.pk.frontend.parse import FunctionSource
from kkspdnn.pk.frontend.scratch import MEMORIES, SCRATCH_HINT, is_known_at_launch
from kkspdnn.pk.frontend.subviews import Fixed, Slice, Subview
from kkspdnn.pk.frontend.team_patterns import TeamPatterns
from kkspdnn.pk.types import LocalArray, View, promote


class Declarations(TeamPatterns):
    """Analyses the declarations of one function.

    arguments: the names that a launch passes
    """

    def __init__(self, source: FunctionSource) -> None:
        super().__init__(source)
        self.arguments: frozenset[str] = frozenset()

    def declaration(self, node: ast.AnnAssign) -> ir.Stmt:
        """Return `name: type = value`."""
        target, line = node.target, node.lineno
        if not isinstance(target, ast.Name) or node.value is None:
            self.refuse(node, "a declaration without a value", "write `x: pk.float = 0.0`")
        if annotated_rank(node.annotation, "ScratchView") is not None:
            return self.scratch_view(node, target)
        if isinstance(node.annotation, ast.Subscript):
            return self._local_array(target, node.annotation, node.value)
        if is_pk(node.annotation, "cpp_auto"):
            value = self.expression(node.value)
            self.declare(target, target.id, value.type)
            return ir.Declare(line, target.id, value.type, value)
        type_ = scalar_annotation(node.annotation)
        if type_ is None:
            self._refuse_type(node.annotation)
        if isinstance(node.value, ast.Call) and is_pk(node.value.func, "parallel_reduce"):
            return self.nested_reduction(node, target, type_, node.value)
        value = self.converted(node.value, type_)
        self.declare(target, target.id, type_)
        return ir.Declare(line, target.id, type_, value)

    def _refuse_type(self, annotation: ast.expr) -> NoReturn:
        self.refuse(
            annotation,
            f"`{ast.unparse(annotation)}` is not a type that locals can have",
            "write int, float, bool, pk.NAME, or List[pk.NAME] for an array",
        )

    def _local_array(self, target: ast.Name, annotation: ast.Subscript, value: ast.expr) -> ir.Stmt:
        is_list = isinstance(annotation.value, ast.Name) and annotation.value.id == "List"
        element = scalar_annotation(annotation.slice)
        if not is_list or element is None:
            self._refuse_type(annotation)
        if not isinstance(value, ast.List) or not value.elts:
            self.refuse(
                value,
                "a local array needs a literal",
                "write [0.0, 0.0], one value an element",
            )
        values = tuple(self.converted(v, element) for v in value.elts)
        self.declare(target, target.id, LocalArray(element, len(values)))
        return ir.DeclareArray(target.lineno, target.id, element, values)

    # ---- scratch views ------------------------------------------------------------------------

    def scratch_view(self, node: ast.AnnAssign, target: ast.Name) -> ir.Stmt:
        """Return `s: pk.ScratchView1D[pk.float] = pk.ScratchView1D(m.team_scratch(0), n)`."""
        view = view_annotation(node.annotation, "ScratchView")
        if view is None:
            self.refuse(node.annotation, "this is not a type of scratch views", SCRATCH_HINT)
        rank = view.rank
        match node.value:
            case ast.Call(func=function, args=[ast.Call() as memory, *extents], keywords=[]) if (
                is_pk(function, f"ScratchView{rank}D") and len(extents) == rank
            ):
                pass
            case _:
                self.refuse(
                    node, f"a scratch view of rank {rank} takes {rank} extent(s)", SCRATCH_HINT
                )
        method = self.team_method(memory)
        match memory.args:
            case [ast.Constant(value=int(level))] if (
                level in (0, 1) and method and method[1] in MEMORIES
            ):
                team, name = method
            case _:
                self.refuse(memory, "this is not scratch memory", SCRATCH_HINT)
        if len(self.scopes) > 1:
            self.refuse(
                node,
                "a scratch view is declared in a loop, a branch or a nested function",
                "declare it at the beginning of the workunit",
            )
        values = tuple(self.integer(extent) for extent in extents)
        for extent, value in zip(extents, values, strict=True):
            if not is_known_at_launch(value, self.arguments):
                self.refuse(
                    extent,
                    "the extent of a scratch view must be known at the launch",
                    "compute it of arguments, literals and extents of views",
                )
        self.declare(target, target.id, view)
        return ir.DeclareScratch(node.lineno, target.id, view.element, team, name, level, values)

    # ---- subviews -----------------------------------------------------------------------------

    def define_subview(
        self, target: ast.Name, name: str, selection: ast.Subscript
    ) -> Sequence[ir.Stmt]:
        """Define `row = a[i, :]`; return declarations of its indices, which are computed once."""
        hint = "write row = a[i, :], or a[i, begin:end]"
        array = selection.value
        type_ = self.find(array.id) if isinstance(array, ast.Name) else None
        if not isinstance(array, ast.Name) or not isinstance(type_, View | Subview):
            self.refuse(array, "this is not a view", hint)
        view = Subview.whole(array.id, type_) if isinstance(type_, View) else type_
        assert isinstance(selection.slice, ast.Tuple)
        parts = selection.slice.elts
        if len(parts) != view.rank:
            self.refuse(
                selection, f"`{array.id}` has {view.rank} dimension(s), not {len(parts)}", hint
            )
        if not any(isinstance(part, ast.Slice) for part in parts):
            self.refuse(
                selection.slice,
                "slices and a[i, j] are not in the workunit language",
                "write a[i][j], or row = a[i, :] and row[j]",
            )
        declared: list[ir.Stmt] = []
        chosen: list[Fixed | Slice] = []
        for number, part in enumerate(parts):
            if not isinstance(part, ast.Slice):
                chosen.append(Fixed(self._index(part, f"_{name}_{number}", declared)))
            elif part.step is not None or (part.lower is None) != (part.upper is None):
                self.refuse(part, "a slice has both bounds or none", hint)
            elif part.lower is None or part.upper is None:
                chosen.append(Slice(None, None))
            else:
                begin = self._index(part.lower, f"_{name}_{number}", declared)
                end = self._index(part.upper, f"_{name}_end_{number}", declared)
                chosen.append(Slice(begin, end))
        self.declare(target, name, view.select(chosen))
        return declared

    def _index(self, node: ast.expr, name: str, declared: list[ir.Stmt]) -> ir.Expr:
        """Return an index of a subview; one that may change is copied into a local."""
        value = self.integer(node)
        if isinstance(value, ir.Constant) or (
            isinstance(value, ir.Name) and self.is_constant(value.name)
        ):
            return value
        type_ = promote(value.type, value.type)
        declared.append(ir.Declare(node.lineno, name, type_, value))
        return ir.Name(name, type_)
