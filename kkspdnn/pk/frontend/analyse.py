"""Python tree to ir.Kernel: types, scopes, and a clear refusal of all that is not the language."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from kkspdnn.pk import ir
from kkspdnn.pk.frontend.expressions import ARITHMETIC, Expressions, Scope
from kkspdnn.pk.frontend.parse import (
    FunctionSource,
    check_function_name,
    check_name,
    is_pk,
    parse,
    read_signature,
    scalar_annotation,
    subscripted,
)
from kkspdnn.pk.frontend.refusals import REFUSED
from kkspdnn.pk.frontend.workunit import Function
from kkspdnn.pk.signature import Types
from kkspdnn.pk.types import BOOL, INT32, LocalArray, Nested, Scalar, Team


def analyse(source: FunctionSource, types: Types) -> ir.Kernel:
    """Check a workunit and return its typed IR.

    types: of the parameters without annotation

    Raises WorkunitError, with the place and what to write instead, for all that is not in the
    language.
    """
    signature = read_signature(source, types)
    analyser = _Analyser(source)
    outer = Scope(function_boundary=True)
    outer.types[signature.index] = Team() if signature.team else INT32
    outer.fixed.add(signature.index)
    if signature.accumulator is not None and signature.result is not None:
        outer.types[signature.accumulator] = signature.result
    if signature.last is not None:
        outer.types[signature.last] = BOOL
        outer.fixed.add(signature.last)
    for parameter in signature.parameters:
        outer.types[parameter.name] = parameter.type
        outer.fixed.add(parameter.name)
    body = analyser.block(source.node.body, outer)
    return ir.Kernel(
        source.name,
        source.file.path,
        source.node.lineno,
        signature,
        tuple(analyser.functions.values()),
        body,
        frozenset(analyser.written),
    )


@dataclass(frozen=True)
class _NestedFunction:
    """A function defined in a workunit, and the names that it could see there."""

    node: ast.FunctionDef
    scopes: tuple[Scope, ...]


class _Analyser(Expressions):
    """One function, statement by statement.

    callers: the `@pk.function`s that are being read around this one
    """

    def __init__(
        self,
        source: FunctionSource,
        result: Scalar | None = None,
        callers: tuple[Function, ...] = (),
    ) -> None:
        super().__init__(source)
        self.functions: dict[str, ir.DeviceFunction] = {}
        self.nested: dict[str, _NestedFunction] = {}
        self.result = result
        self.callers = callers

    # ---- statements ---------------------------------------------------------------------------

    def block(self, statements: Sequence[ast.stmt], scope: Scope) -> tuple[ir.Stmt, ...]:
        self.scopes.append(scope)
        try:
            return tuple(s for s in map(self.statement, statements) if s is not None)
        finally:
            self.scopes.pop()

    def statement(self, node: ast.stmt) -> ir.Stmt | None:
        line = node.lineno
        match node:
            case ast.Pass() | ast.Expr(value=ast.Constant(value=str())):
                return None
            case ast.AnnAssign():
                return self.annotated(node)
            case ast.Assign():
                return self.assignment(node)
            case ast.AugAssign():
                return self.augmented(node)
            case ast.If():
                test = self.expression(node.test)
                body = self.block(node.body, Scope())
                return ir.If(line, test, body, self.block(node.orelse, Scope()))
            case ast.While():
                self.no_else(node)
                test = self.expression(node.test)
                return ir.While(line, test, self.block(node.body, Scope()))
            case ast.For():
                return self.for_range(node)
            case ast.Break() | ast.Continue():
                word = "break" if isinstance(node, ast.Break) else "continue"
                return ir.Jump(line, word)
            case ast.Return():
                return self.returned(node)
            case ast.FunctionDef():
                self.define_nested(node)
                return None
            case ast.Expr(value=ast.Call() as call):
                return self.call_statement(call)
            case ast.Expr(value=value):
                if type(value) in REFUSED:
                    self.refused(value)
                self.refuse(node, "an expression without effect", "assign it, or leave it out")
        self.refused(node)

    def no_else(self, node: ast.For | ast.While) -> None:
        if node.orelse:
            self.refuse(
                node.orelse[0],
                "else after a loop is not in the workunit language",
                "set a flag in the loop",
            )

    # ---- declarations -------------------------------------------------------------------------

    def annotated(self, node: ast.AnnAssign) -> ir.Stmt:
        if not isinstance(node.target, ast.Name) or node.value is None:
            self.refuse(node, "a declaration without a value", "write `x: pk.float = 0.0`")
        name = node.target.id
        if isinstance(node.annotation, ast.Subscript):
            return self.local_array(node, name, node.annotation, node.value)
        if is_pk(node.annotation, "cpp_auto"):
            return self.deduced(node, name, node.value)
        kind = scalar_annotation(node.annotation)
        if kind is None:
            self.refuse_type(node.annotation)
        if isinstance(node.value, ast.Call) and is_pk(node.value.func, "parallel_reduce"):
            return self.nested_reduction(node, name, kind, node.value)
        value = self.converted(node.value, self.expression(node.value), kind)
        self.declare(node.target, name, kind)
        return ir.Declare(node.lineno, name, kind, value)

    def refuse_type(self, annotation: ast.expr) -> NoReturn:
        self.refuse(
            annotation,
            f"`{ast.unparse(annotation)}` is not a type that locals can have",
            "write int, float, bool, pk.NAME, or List[pk.NAME] for an array",
        )

    def deduced(self, node: ast.AnnAssign, name: str, value: ast.expr) -> ir.Stmt:
        """`x: pk.cpp_auto = value`: the type of the value."""
        given = self.expression(value)
        self.declare(node.target, name, given.type)
        return ir.Declare(node.lineno, name, given.type, given)

    def local_array(
        self, node: ast.AnnAssign, name: str, annotation: ast.Subscript, value: ast.expr
    ) -> ir.Stmt:
        if is_pk(annotation.value) and ast.unparse(annotation.value).startswith("pk.ScratchView"):
            self.refuse(
                annotation,
                "scratch memory is not in the workunit language",
                "its size is not portable: use a view or a local array",
            )
        is_list = isinstance(annotation.value, ast.Name) and annotation.value.id == "List"
        element = scalar_annotation(annotation.slice)
        if not is_list or element is None:
            self.refuse_type(annotation)
        if not isinstance(value, ast.List) or not value.elts:
            self.refuse(
                value, "a local array needs a literal", "write [0.0, 0.0]: it gives the length"
            )
        values = tuple(self.converted(v, self.expression(v), element) for v in value.elts)
        self.declare(node.target, name, LocalArray(element, len(values)))
        return ir.DeclareArray(node.lineno, name, element, values)

    # ---- assignments --------------------------------------------------------------------------

    def assignment(self, node: ast.Assign) -> ir.Stmt:
        if len(node.targets) != 1:
            self.refuse(
                node, "a = b = c is not in the workunit language", "write one assignment a line"
            )
        place = self.place(node.targets[0])
        value = self.converted(node.value, self.expression(node.value), place.type)
        return ir.Assign(node.lineno, place, "=", value)

    def augmented(self, node: ast.AugAssign) -> ir.Stmt:
        if isinstance(node.op, (ast.Div, ast.Pow, ast.MatMult)):
            self.refuse(
                node,
                "this augmented assignment is not in the workunit language",
                "write x = x / y, or x = x ** y",
            )
        place = self.place(node.target)
        value = self.expression(node.value)
        combined = self.arithmetic(node, node.op, place, value)
        self.converted(node, combined, place.type)
        return ir.Assign(node.lineno, place, ARITHMETIC[type(node.op)] + "=", value)

    def place(self, target: ast.expr) -> ir.Name | ir.Element:
        """What an assignment writes to."""
        if isinstance(target, ast.Name):
            return self.assignable(target)
        if isinstance(target, ast.Subscript):
            element = self.element(target)
            if not element.local:
                self.written.add(element.array)
            elif self.is_captured(element.array):
                self.refuse_captured(target, element.array)
            return element
        if type(target) in REFUSED:
            self.refused(target)
        self.refuse(
            target, "this cannot be assigned", "assign to a local or to an element of a view"
        )

    def assignable(self, target: ast.Name) -> ir.Name:
        kind = self.find(target.id)
        if kind is None:
            self.refuse(
                target,
                f"`{target.id}` has no type yet in this block",
                f"declare it where every use sees it: `{target.id}: pk.float = …`",
            )
        if not isinstance(kind, Scalar) or self.is_fixed(target.id):
            self.refuse(target, f"`{target.id}` cannot be assigned", "copy it into a local first")
        if self.is_captured(target.id):
            self.refuse_captured(target, target.id)
        return ir.Name(target.id, kind)

    def refuse_captured(self, node: ast.AST, name: str) -> NoReturn:
        self.refuse(
            node,
            f"`{name}` belongs to the workunit around this function",
            "use a nested pk.parallel_reduce with a pk.Acc, or a view",
        )

    # ---- loops and jumps ----------------------------------------------------------------------

    def for_range(self, node: ast.For) -> ir.Stmt:
        call = node.iter
        self.no_else(node)
        if not (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Name)
            and call.func.id == "range"
            and not call.keywords
            and 1 <= len(call.args) <= 3
        ):
            self.refuse(call, "only range(…) can be looped over", "write for j in range(a, b)")
        if not isinstance(node.target, ast.Name):
            self.refuse(node.target, "a loop has one counter", "write for j in range(a, b)")
        values = [self.expression(a) for a in call.args]
        for argument, value in zip(call.args, values, strict=True):
            if not value.type.is_int or value.type.bits > 32:
                self.refuse(
                    argument,
                    f"the counter of a range is an int32_t, not {value.type.name}",
                    "write int(…), or use a while loop with a pk.int64 local",
                )
        self.check_bounds_stay(call, node.body)
        begin: ir.Expr = ir.Constant("0", INT32)
        step: ir.Expr = ir.Constant("1", INT32)
        end = values[0]
        if len(values) > 1:
            begin, end = values[0], values[1]
        descending = False
        if len(values) == 3:
            descending = self.is_negative(call.args[2])
            step = values[2]
        counter = node.target.id
        self.scopes.append(Scope({}, {counter}))
        try:
            self.declare(node.target, counter, INT32)
            body = self.block(node.body, Scope())
        finally:
            self.scopes.pop()
        return ir.For(node.lineno, counter, begin, end, step, descending, body)

    def is_negative(self, step: ast.expr) -> bool:
        """The direction of a range must be known before it runs."""
        match step:
            case ast.Constant(value=int(size)) if size != 0:
                return False
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(size))) if size != 0:
                return True
        self.refuse(step, "a step must be a number other than 0", "write it as a literal: 2 or -1")

    def check_bounds_stay(self, call: ast.Call, body: list[ast.stmt]) -> None:
        """PyKokkos evaluates the end of a range before every turn, Python once: refuse where
        the two could differ."""
        used: set[str] = set()
        for argument in call.args:
            used.update(_read(argument))
        for statement in body:
            for part in ast.walk(statement):
                targets: list[ast.expr] = []
                if isinstance(part, ast.Assign):
                    targets = part.targets
                elif isinstance(part, (ast.AugAssign, ast.AnnAssign)):
                    targets = [part.target]
                for target in targets:
                    name = _base(target)
                    if name in used:
                        self.refuse(
                            target,
                            f"`{name}` bounds this loop and changes in it",
                            "copy it into a local of its own before the loop",
                        )

    def returned(self, node: ast.Return) -> ir.Stmt:
        if self.result is None:
            if node.value is not None:
                self.refuse(node, "a workunit returns nothing", "write results into a view")
            return ir.Jump(node.lineno, "return")
        if node.value is None:
            self.refuse(node, "a pk.function returns a value", "write return x")
        value = self.converted(node.value, self.expression(node.value), self.result)
        return ir.ReturnValue(node.lineno, value)

    # ---- calls --------------------------------------------------------------------------------

    def call_statement(self, call: ast.Call) -> ir.Stmt:
        if is_pk(call.func, "parallel_for"):
            return self.nested_pattern(call, None)
        if is_pk(call.func, "parallel_reduce"):
            self.refuse(
                call,
                "a nested reduction without a result",
                "write s: float = pk.parallel_reduce(…)",
            )
        match self.team_method(call):
            case (team, "team_barrier") if not call.args and not call.keywords:
                return ir.Barrier(call.lineno, team)
        value = self.expression(call)
        if not isinstance(value, ir.Atomic):
            self.refuse(call, "a call without effect", "assign its value")
        return ir.Evaluate(call.lineno, value)

    def nested_reduction(
        self, node: ast.AnnAssign, name: str, kind: Scalar, call: ast.Call
    ) -> ir.Stmt:
        nested = self.nested_pattern(call, name)
        if nested.inner.result != kind:
            self.refuse(
                node.annotation,
                f"`{name}` and the accumulator differ in type",
                "give both the same, for example float with pk.Acc[pk.double]",
            )
        self.declare(node.target, name, kind)
        return nested

    def nested_pattern(self, call: ast.Call, into: str | None) -> ir.Nested:
        word = "parallel_for" if into is None else "parallel_reduce"
        hint = f"write pk.{word}(pk.TeamThreadRange(m, n), inner)"
        if len(call.args) != 2 or call.keywords:
            self.refuse(call, f"a nested pk.{word} takes a range and a function", hint)
        policy, inner = call.args
        if not isinstance(policy, ast.Call) or not (
            is_pk(policy.func, "TeamThreadRange") or is_pk(policy.func, "ThreadVectorRange")
        ):
            self.refuse(policy, "this is not a range of a team", hint)
        assert isinstance(policy.func, ast.Attribute)
        if not 2 <= len(policy.args) <= 3 or policy.keywords:
            self.refuse(policy, "a range takes the team and a count", hint)
        team = policy.args[0]
        if not isinstance(team, ast.Name) or not isinstance(self.find(team.id), Team):
            self.refuse(team, "this is not a team handle", "pass the workunit's pk.TeamMember")
        bounds = tuple(self.converted(a, self.integer(a), INT32) for a in policy.args[1:])
        if not isinstance(inner, ast.Name) or not isinstance(self.find(inner.id), Nested):
            self.refuse(
                inner, "this is not a nested function", "define it above with def inner(i: int)"
            )
        return ir.Nested(
            call.lineno, policy.func.attr, team.id, bounds, self.inner(inner, into), into
        )

    def define_nested(self, node: ast.FunctionDef) -> None:
        # PyKokkos writes the function where it stands, so it sees what is declared above it.
        seen = tuple(scope.copy() for scope in self.scopes)
        self.declare(node, node.name, Nested(node.name))
        self.nested[node.name] = _NestedFunction(node, seen)

    def inner(self, use: ast.Name, into: str | None) -> ir.Inner:
        function = self.nested[use.id]
        around, self.scopes = self.scopes, list(function.scopes)
        try:
            return self.inner_function(function.node, into)
        finally:
            self.scopes = around

    def inner_function(self, node: ast.FunctionDef, into: str | None) -> ir.Inner:
        arguments = node.args.args
        expected = 1 if into is None else 2
        hint = "write def inner(i: int)"
        if into is not None:
            hint = "write def inner(i: int, acc: pk.Acc[pk.double])"
        if len(arguments) != expected or not _plain(node.args) or node.decorator_list:
            self.refuse(node, f"a nested function here takes {expected} parameter(s)", hint)
        if scalar_annotation(arguments[0].annotation) != INT32:
            self.refuse(arguments[0], "the work item is an int", hint)
        scope = Scope({}, {arguments[0].arg}, function_boundary=True)
        self.scopes.append(scope)
        self.declare(arguments[0], arguments[0].arg, INT32)
        accumulator, result = None, None
        if into is not None:
            accumulator = arguments[1].arg
            result = scalar_annotation(subscripted(arguments[1].annotation, "Acc"))
            if result is None or result == BOOL:
                self.refuse(
                    arguments[1],
                    f"`{accumulator}` is not an accumulator",
                    "write acc: pk.Acc[pk.double]",
                )
            self.declare(arguments[1], accumulator, result)
        self.scopes.pop()
        # The function's own locals share the boundary scope, so that it may assign to them.
        return ir.Inner(arguments[0].arg, accumulator, result, self.block(node.body, scope))

    # ---- @pk.function -------------------------------------------------------------------------

    def device_function(self, call: ast.Call, function: Function) -> ir.DeviceFunction:
        name = function.function.__name__
        if function in self.callers:
            self.refuse(
                call, f"`{name}` calls itself: recursion is not in the language", "write a loop"
            )
        if name not in self.functions:
            self.functions[name] = self.read_device_function(call, function)
        return self.functions[name]

    def read_device_function(self, call: ast.Call, function: Function) -> ir.DeviceFunction:
        source = parse(function)
        node, refuse = source.node, source.file.refuse
        if source.file.path != self.source.file.path:
            self.refuse(
                call,
                f"`{source.name}` is a pk.function of another file",
                "define it in the workunit's own file",
            )
        check_function_name(source)
        result = scalar_annotation(node.returns)
        if result is None:
            refuse(node, "a pk.function needs a result type", "write -> float or -> int")
        if not _plain(node.args):
            refuse(node, "a pk.function takes plain parameters", "write (x: float, y: int)")
        scope = Scope(function_boundary=True)
        parameters = []
        for argument in node.args.args:
            kind = scalar_annotation(argument.annotation)
            if kind is None:
                refuse(argument, "a pk.function takes numbers", "give it a type: x: float")
            check_name(source, argument, argument.arg)
            scope.types[argument.arg] = kind
            scope.fixed.add(argument.arg)
            parameters.append(ir.Name(argument.arg, kind))
        analyser = _Analyser(source, result, (*self.callers, function))
        body = analyser.block(node.body, scope)
        if not isinstance(node.body[-1], ast.Return):
            refuse(node.body[-1], "a pk.function must end with return", "return a value at the end")
        self.functions.update(analyser.functions)
        return ir.DeviceFunction(source.name, node.lineno, tuple(parameters), result, body)


def _plain(arguments: ast.arguments) -> bool:
    """Neither *args, **kwargs, keyword-only, positional-only nor default values."""
    odd = (arguments.vararg, arguments.kwarg, *arguments.kwonlyargs, *arguments.posonlyargs)
    return not any(odd) and not arguments.defaults


def _base(target: ast.expr) -> str | None:
    """`x` of `x`, `x[i]` and `x[i][j]`."""
    while isinstance(target, ast.Subscript):
        target = target.value
    return target.id if isinstance(target, ast.Name) else None


def _read(expression: ast.expr) -> set[str]:
    """The names whose values an expression reads; an extent never changes."""
    if isinstance(expression, ast.Call) and isinstance(expression.func, ast.Attribute):
        return set().union(*map(_read, expression.args)) if expression.args else set()
    if isinstance(expression, ast.Name):
        return {expression.id}
    found: set[str] = set()
    for part in ast.iter_child_nodes(expression):
        if isinstance(part, ast.expr):
            found |= _read(part)
    return found
