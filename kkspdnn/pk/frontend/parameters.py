"""The parameter list of a workunit: work item, accumulator and arguments."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from kkspdnn.pk.frontend.annotations import (
    accumulator_annotation,
    is_pk,
    other_parameters,
    scalar_annotation,
    subscripted,
    view_annotation,
)
from kkspdnn.pk.frontend.parse import FunctionSource
from kkspdnn.pk.frontend.reserved import check_name
from kkspdnn.pk.signature import Parameter, Pattern, Signature, Types
from kkspdnn.pk.types import Scalar, View


def read_signature(source: FunctionSource, types: Types) -> Signature:
    """Return the parameters of a workunit by role.

    types: of the parameters without annotation
    """
    inferred = dict(zip(source.generic, types, strict=True))
    item, *rest = _parameters(source)
    team = _is_team(source, item)
    pattern: Pattern = "for"
    accumulator, result, last = None, None, None
    if rest and subscripted(rest[0].annotation, "Acc") is not None:
        pattern, accumulator = "reduce", rest[0].arg
        result = _result(source, rest.pop(0))
        if rest and isinstance(rest[0].annotation, ast.Name) and rest[0].annotation.id == "bool":
            pattern, last = "scan", rest.pop(0).arg
            if team:
                source.file.refuse(
                    item,
                    "a scan over teams is not in the workunit language",
                    "scan over a RangePolicy: `i: int`",
                )
    parameters = tuple(Parameter(p.arg, _type(source, p, inferred)) for p in rest)
    return Signature(pattern, team, item.arg, accumulator, result, last, parameters)


def _parameters(source: FunctionSource) -> list[ast.arg]:
    """All parameters; at least one, and positional without default values only."""
    arguments, refuse = source.node.args, source.file.refuse
    for other in other_parameters(arguments):
        refuse(
            other,
            "*, /, *args and **kwargs are not in the workunit language",
            "name each parameter",
        )
    if arguments.defaults:
        refuse(
            arguments.defaults[0],
            "default values are not in the workunit language",
            "pass the argument at the launch",
        )
    if source.node.returns is not None and not _is_none(source.node.returns):
        refuse(source.node.returns, "a workunit returns nothing", "use a pk.Acc or a view")
    if not arguments.args:
        refuse(source.node, "a workunit needs a work item", "start with `i: int` or a TeamMember")
    for parameter in arguments.args:
        check_name(source.file, parameter, parameter.arg)
    return arguments.args


def _is_team(source: FunctionSource, item: ast.arg) -> bool:
    """Whether the work item is a team."""
    if is_pk(item.annotation, "TeamMember"):
        return True
    if isinstance(item.annotation, ast.Name) and item.annotation.id == "int":
        return False
    source.file.refuse(
        item, "the first parameter is the work item", "write `i: int` or `m: pk.TeamMember`"
    )


def _result(source: FunctionSource, accumulator: ast.arg) -> Scalar:
    result = accumulator_annotation(accumulator.annotation)
    if result is None:
        source.file.refuse(
            accumulator,
            "the accumulator has no supported type",
            "write pk.Acc[pk.double] or pk.Acc[pk.int64]",
        )
    return result


def _type(
    source: FunctionSource, parameter: ast.arg, inferred: Mapping[str, Scalar | View]
) -> Scalar | View:
    annotation = parameter.annotation
    if annotation is None:
        type_ = inferred.get(parameter.arg)
    else:
        type_ = view_annotation(annotation) or scalar_annotation(annotation)
    if type_ is None:
        source.file.refuse(
            parameter,
            f"parameter `{parameter.arg}` has no supported type",
            "write pk.View1D[pk.float] (1D to 3D; int8 … uint64, float, double), int, float, "
            "bool or a pk scalar, or omit the annotation, so that the launch sets the type",
        )
    return type_


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
