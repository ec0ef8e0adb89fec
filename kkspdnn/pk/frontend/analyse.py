"""Semantic analysis: from the syntax tree of a workunit to its typed IR."""

from __future__ import annotations

import ast
from dataclasses import replace

from kkspdnn.pk import ir
from kkspdnn.pk.frontend.annotations import is_none, is_plain, scalar_annotation, view_annotation
from kkspdnn.pk.frontend.parameters import local_items, read_signature
from kkspdnn.pk.frontend.parse import FunctionSource, parse
from kkspdnn.pk.frontend.reserved import check_function_name, check_name
from kkspdnn.pk.frontend.scopes import Scope
from kkspdnn.pk.frontend.statements import Statements
from kkspdnn.pk.frontend.workunit import Function
from kkspdnn.pk.signature import Signature, Types
from kkspdnn.pk.types import BOOL, INT32, Scalar, Team


def analyse(source: FunctionSource, types: Types) -> ir.Kernel:
    """Check a workunit and return its typed IR.

    types: of the parameters without annotation

    Raises WorkunitError, with the source location and what to write instead, if the workunit uses
    a construct that is not in the language.
    """
    signature = read_signature(source, types)
    scope = _parameter_scope(signature)
    signature, conversions = _converted_items(source, signature, scope)
    analyser = _Analyser(source)
    analyser.arguments = frozenset(p.name for p in signature.parameters)
    body = (*conversions, *analyser.block(source.node.body, scope))
    return ir.Kernel(
        source.name,
        source.file.path,
        source.node.lineno,
        signature,
        tuple(analyser.functions.values()),
        body,
        analyser.arguments & analyser.written,
        frozenset(each for each in analyser.short_extents if each[0] in analyser.arguments),
    )


def _parameter_scope(signature: Signature) -> Scope:
    scope = Scope(is_function=True)
    for item in signature.items:
        scope.add(item, Team() if signature.team else INT32, constant=True)
    if signature.accumulator is not None and signature.result is not None:
        scope.add(signature.accumulator, signature.result)
        scope.sums.add(signature.accumulator)
        if signature.pattern == "reduce":
            scope.partial_sums.add(signature.accumulator)
    if signature.last is not None:
        scope.add(signature.last, BOOL, constant=True)
    for parameter in signature.parameters:
        scope.add(parameter.name, parameter.type, constant=True)
    return scope


def _converted_items(
    source: FunctionSource, signature: Signature, scope: Scope
) -> tuple[Signature, list[ir.Stmt]]:
    """Return the signature with other names for the work items that are locals, and the
    declarations of these from them."""
    items, declarations = list(signature.items), list[ir.Stmt]()
    for item, type_, is_assigned in local_items(source):
        index = f"_index_{item.arg}"
        items[items.index(item.arg)] = index
        scope.constant.discard(item.arg)
        scope.add(item.arg, type_, constant=not is_assigned)
        declarations.append(ir.Declare(item.lineno, item.arg, type_, ir.Name(index, INT32)))
    return replace(signature, items=tuple(items)), declarations


class _Analyser(Statements):
    """Analyses one function and the `@pk.function`s that it calls.

    callers: the `@pk.function`s whose analysis led to this one
    """

    def __init__(
        self,
        source: FunctionSource,
        result: Scalar | None = None,
        callers: tuple[Function, ...] = (),
    ) -> None:
        super().__init__(source, result)
        self.functions: dict[str, ir.DeviceFunction] = {}
        self.callers = callers

    def device_function(self, call: ast.Call, function: Function) -> ir.DeviceFunction:
        name = function.function.__name__
        if function in self.callers:
            self.refuse(
                call, f"`{name}` calls itself: recursion is not in the language", "write a loop"
            )
        if name not in self.functions:
            self.functions[name] = self._analyse_function(call, function)
        return self.functions[name]

    def _analyse_function(self, call: ast.Call, function: Function) -> ir.DeviceFunction:
        source = parse(function)
        node, refuse = source.node, source.file.refuse
        same_file = source.file.path == self.source.file.path
        if not same_file and source.module is not self.source.module:
            self.refuse(
                call,
                f"`{source.name}` is a pk.function of another file",
                "define it in the workunit's own file, or in a cell of its notebook",
            )
        check_function_name(source)
        result = scalar_annotation(node.returns)
        if result is None and not is_none(node.returns):
            refuse(node, "a pk.function needs a result type", "write -> float, -> int or -> None")
        if not is_plain(node.args):
            refuse(
                node,
                "a pk.function has positional parameters without default values",
                "write (x: float, y: int)",
            )
        scope = Scope(is_function=True)
        parameters = tuple(_parameter(source, parameter) for parameter in node.args.args)
        for parameter in parameters:
            view = parameter.view if isinstance(parameter, ir.ViewParameter) else parameter.type
            scope.add(parameter.name, view, constant=True)
        analyser = _Analyser(source, result, (*self.callers, function))
        body = analyser.block(node.body, scope)
        if result is not None and not isinstance(node.body[-1], ast.Return):
            refuse(node.body[-1], "a pk.function must end with return", "return a value at the end")
        self.functions.update(analyser.functions)
        return ir.DeviceFunction(
            name=source.name,
            line=node.lineno,
            parameters=parameters,
            result=result,
            body=body,
            written=frozenset(p.name for p in parameters) & analyser.written,
            short_extents=frozenset(analyser.short_extents),
            path=None if same_file else source.file.path,
        )


def _parameter(source: FunctionSource, parameter: ast.arg) -> ir.Name | ir.ViewParameter:
    """A parameter of a `@pk.function`."""
    check_name(source.file, parameter, parameter.arg)
    view = view_annotation(parameter.annotation)
    if view is not None:
        return ir.ViewParameter(parameter.arg, view)
    type_ = scalar_annotation(parameter.annotation)
    if type_ is None:
        source.file.refuse(
            parameter,
            "a parameter of a pk.function is a number or a view",
            "write its type: x: float, or x: pk.View1D[pk.double]",
        )
    return ir.Name(parameter.arg, type_)
