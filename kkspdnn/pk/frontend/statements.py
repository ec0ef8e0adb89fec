"""The statements of the workunit language: from syntax trees to typed IR."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from kkspdnn.pk import ir
from kkspdnn.pk.frontend import loops
from kkspdnn.pk.frontend.annotations import is_pk
from kkspdnn.pk.frontend.assignments import Assignments
from kkspdnn.pk.frontend.intrinsics import ATOMICS
from kkspdnn.pk.frontend.parse import FunctionSource
from kkspdnn.pk.frontend.printf import printed
from kkspdnn.pk.frontend.scopes import Scope
from kkspdnn.pk.frontend.unsupported import UNSUPPORTED
from kkspdnn.pk.types import INT32, Scalar


class Statements(Assignments):
    """Analyses one function, statement by statement.

    result: the type that a `@pk.function` returns; None for a workunit
    """

    def __init__(self, source: FunctionSource, result: Scalar | None = None) -> None:
        super().__init__(source)
        self.result = result

    def block(self, statements: Sequence[ast.stmt], scope: Scope) -> tuple[ir.Stmt, ...]:
        """Return the IR of the statements of a block."""
        self.scopes.append(scope)
        try:
            return tuple(s for node in statements for s in self._statements(node))
        finally:
            self.scopes.pop()

    def _statements(self, node: ast.stmt) -> Sequence[ir.Stmt]:
        """Return the IR of a statement."""
        match node:
            case ast.Assign(
                targets=[ast.Name(id=name) as target],
                value=ast.Subscript(slice=ast.Tuple()) as selection,
            ):
                return self.define_subview(target, name, selection)
            case ast.Expr(value=ast.Call(args=[ast.Call() as policy, _]) as call) if is_pk(
                call.func, "parallel_for"
            ) and is_pk(policy.func, "TeamThreadMDRange"):
                self.refuse_keywords(call)
                return self.nested_md_pattern(call, policy)
        statement = self._statement(node)
        return () if statement is None else (statement,)

    def _statement(self, node: ast.stmt) -> ir.Stmt | None:
        line = node.lineno
        match node:
            case ast.Pass() | ast.Expr(value=ast.Constant(value=str())):
                return None
            case ast.AnnAssign():
                return self.declaration(node)
            case ast.Assign():
                return self.assignment(node)
            case ast.AugAssign():
                return self.augmented_assignment(node)
            case ast.If():
                test = self.expression(node.test)
                body = self.block(node.body, Scope())
                return ir.If(line, test, body, self.block(node.orelse, Scope()))
            case ast.While():
                self._refuse_else(node)
                test = self.expression(node.test)
                return ir.While(line, test, self.block(node.body, Scope()))
            case ast.For():
                return self._for(node)
            case ast.Break() | ast.Continue():
                return ir.Jump(line, "break" if isinstance(node, ast.Break) else "continue")
            case ast.Return():
                return self._return(node)
            case ast.FunctionDef():
                self.define_nested(node)
                return None
            case ast.Nonlocal() if self._may_assign_outer():
                self._declare_nonlocal(node)
                return None
            case ast.Expr(value=ast.Call() as call):
                return self._call_statement(call)
            case ast.Expr(value=value):
                if type(value) in UNSUPPORTED:
                    self.refuse_construct(value)
                self.refuse(node, "an expression without effect", "assign it, or leave it out")
        self.refuse_construct(node)

    # ---- nonlocal -----------------------------------------------------------------------------

    def _may_assign_outer(self) -> bool:
        return self.scopes[-1].nonlocals is not None

    def _declare_nonlocal(self, node: ast.Nonlocal) -> None:
        for name in node.names:
            if not self.is_sum(name):
                self.refuse(
                    node,
                    f"each thread has a `{name}` of its own, and pk.single would set one of them",
                    "write to a view or a scratch view, then call m.team_barrier()",
                )
            nonlocals = self.scopes[-1].nonlocals
            assert nonlocals is not None
            nonlocals.add(name)

    # ---- loops, return and calls --------------------------------------------------------------

    def _refuse_else(self, node: ast.For | ast.While) -> None:
        if node.orelse:
            self.refuse(
                node.orelse[0],
                "else after a loop is not in the workunit language",
                "set a flag in the loop",
            )

    def _for(self, node: ast.For) -> ir.Stmt:
        file = self.source.file
        self._refuse_else(node)
        arguments = loops.range_arguments(file, node)
        if not isinstance(node.target, ast.Name):
            self.refuse(node.target, "a for loop has one variable", "write for j in range(a, b)")
        bounds = [self._bound(argument) for argument in arguments]
        loops.check_bounds_invariant(file, arguments, node.body)
        begin: ir.Expr = ir.Constant(0, INT32)
        step: ir.Expr = ir.Constant(1, INT32)
        end = bounds[0]
        if len(bounds) > 1:
            begin, end = bounds[0], bounds[1]
        descending = False
        if len(bounds) == 3:
            descending = loops.is_descending(file, arguments[2])
            step = bounds[2]
        counter = node.target.id
        self.scopes.append(Scope({}, {counter}))
        try:
            self.declare(node.target, counter, INT32)
            body = self.block(node.body, Scope())
        finally:
            self.scopes.pop()
        return ir.For(node.lineno, counter, begin, end, step, descending, body)

    def _bound(self, argument: ast.expr) -> ir.Expr:
        value = self.short_extent(self.expression(argument))
        if not value.type.is_int or value.type.bits > 32:
            self.refuse(
                argument,
                f"the arguments of range are int32, not {value.type.name}",
                "write int(…), or use a while loop with a pk.int64 local",
            )
        return value

    def _return(self, node: ast.Return) -> ir.Stmt:
        if self.result is None:
            if node.value is not None:
                self.refuse(node, "a workunit returns nothing", "write results into a view")
            return ir.Jump(node.lineno, "return")
        if node.value is None:
            self.refuse(node, "a pk.function returns a value", "write return x")
        return ir.ReturnValue(node.lineno, self.converted(node.value, self.result))

    def _call_statement(self, call: ast.Call) -> ir.Stmt:
        if is_pk(call.func, "parallel_for"):
            return self.nested_pattern(call, None)
        if is_pk(call.func, "single"):
            return self.single(call)
        if is_pk(call.func, "printf"):
            return printed(self, call)
        if is_pk(call.func, "parallel_reduce"):
            self.refuse(
                call,
                "a nested reduction without a result",
                "write s: float = pk.parallel_reduce(…)",
            )
        match self.team_method(call):
            case (team, "team_barrier") if not call.args and not call.keywords:
                return ir.Barrier(call.lineno, team)
        match call.func:
            case ast.Attribute(attr=name) if is_pk(call.func) and name in ATOMICS:
                self.refuse_keywords(call)
                return ir.Evaluate(call.lineno, self.atomic(call, name))
        device = self.called_function(call)
        if device is not None:
            self.refuse_keywords(call)
            return ir.Evaluate(call.lineno, self.function_call(call, device))
        self.expression(call)
        self.refuse(call, "a call without effect", "assign its value")
