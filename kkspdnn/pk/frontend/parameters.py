"""The parameter list of a workunit: work items, accumulator and arguments."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from kkspdnn.pk.frontend.annotations import (
    accumulator_annotation,
    is_none,
    is_pk,
    other_parameters,
    scalar_annotation,
    view_annotation,
)
from kkspdnn.pk.frontend.parse import FunctionSource
from kkspdnn.pk.frontend.reserved import check_name
from kkspdnn.pk.frontend.roles import is_index
from kkspdnn.pk.signature import Parameter, Signature, Types
from kkspdnn.pk.types import DOUBLE, INT32, Scalar, View


def read_signature(source: FunctionSource, types: Types) -> Signature:
    """Return the parameters of a workunit by role.

    types: of the arguments without annotation
    """
    check_parameters(source)
    roles = source.roles
    form, team = roles.form, roles.form.rank == 0
    for item in roles.items:
        _check_item(source, item, team)
    if team and form.pattern == "scan":
        source.file.refuse(
            roles.items[0],
            "a scan over teams is not in the workunit language",
            "scan over a RangePolicy: `i: int`",
        )
    accumulator, last = roles.accumulator, roles.last
    inferred = dict(zip(roles.generic, types, strict=True))
    return Signature(
        form.pattern,
        team,
        tuple(item.arg for item in roles.items),
        accumulator.arg if accumulator is not None else None,
        _result(source, accumulator) if accumulator is not None else None,
        last.arg if last is not None else None,
        tuple(Parameter(p.arg, _type(source, p, inferred)) for p in roles.arguments),
    )


def local_items(source: FunctionSource) -> list[tuple[ast.arg, Scalar, bool]]:
    """Return the indices that are locals with a copy of the work item, their types, and whether
    they are assigned: the type of the others is int32."""
    assigned = {
        node.id
        for node in ast.walk(source.node)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    found = []
    roles = source.roles
    for item in roles.items if roles.form.rank > 0 else ():
        type_ = scalar_annotation(item.annotation) or INT32
        if type_ != INT32 or item.arg in assigned:
            found.append((item, type_, item.arg in assigned))
    return found


def check_parameters(source: FunctionSource) -> None:
    """Raise WorkunitError unless a workunit has parameters, all of them positional and without
    default values, and no result."""
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
    if source.node.returns is not None and not is_none(source.node.returns):
        refuse(source.node.returns, "a workunit returns nothing", "use a pk.Acc or a view")
    if not arguments.args:
        refuse(source.node, "a workunit needs a work item", "start with `i: int` or a TeamMember")
    if arguments.args[0].arg in ("self", "cls"):
        refuse(
            arguments.args[0],
            "a workunit is no method",
            "write @staticmethod above @pk.workunit, and pass the attributes as arguments",
        )
    for parameter in arguments.args:
        check_name(source.file, parameter, parameter.arg)


def _check_item(source: FunctionSource, item: ast.arg, team: bool) -> None:
    """Refuse a work item whose annotation is another type."""
    annotation = item.annotation
    right = is_pk(annotation, "TeamMember") if team else is_index(annotation)
    if annotation is not None and not right:
        source.file.refuse(
            item, "the first parameter is the work item", "write `i: int` or `m: pk.TeamMember`"
        )


def _result(source: FunctionSource, accumulator: ast.arg) -> Scalar:
    """The type of an accumulator; without annotation it is a double, as in PyKokkos."""
    if accumulator.annotation is None:
        return DOUBLE
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
            "write pk.View1D[pk.double] (1D to 3D; int8 … uint64, float, double), int, float, "
            "bool or a pk scalar, or omit the annotation, so that the launch sets the type",
        )
    return type_
