"""The roles of a workunit's first parameters: work items, accumulator and the bool of a scan."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kkspdnn.pk.frontend.annotations import is_pk, scalar_annotation, subscripted
from kkspdnn.pk.signature import Form, Pattern
from kkspdnn.pk.types import BOOL


@dataclass(frozen=True)
class Roles:
    """The parameters of a workunit by role.

    items: the work-item indices, or the team handle
    accumulator: of a reduction or a scan
    last: whether this is the last pass of a scan
    arguments: the parameters that a launch passes by name
    """

    form: Form
    items: tuple[ast.arg, ...]
    accumulator: ast.arg | None
    last: ast.arg | None
    arguments: tuple[ast.arg, ...]

    @property
    def generic(self) -> tuple[str, ...]:
        """The names of the arguments without annotation, whose types a launch sets."""
        return tuple(a.arg for a in self.arguments if a.annotation is None)


def read_roles(parameters: Sequence[ast.arg], form: Form | None = None) -> Roles:
    """Return the roles of parameters, in launches of this form or, if None, by annotation."""
    form = form or annotated_form(parameters)
    rest = list(parameters)
    items = tuple(rest.pop(0) for _ in range(min(len(rest), max(form.rank, 1))))
    accumulator = rest.pop(0) if form.pattern != "for" and rest else None
    last = rest.pop(0) if form.pattern == "scan" and rest else None
    return Roles(form, items, accumulator, last, tuple(rest))


def annotated_form(parameters: Sequence[ast.arg]) -> Form:
    """Return the form of the launches that the annotations of a workunit name."""
    annotations = [p.annotation for p in parameters[:3]] + [None] * 3
    item, accumulator, last = annotations[:3]
    pattern: Pattern = "for"
    if is_accumulator(accumulator):
        pattern = "scan" if is_bool(last) else "reduce"
    return Form(pattern, 0 if is_pk(item, "TeamMember") else 1)


def contradiction(parameters: Sequence[ast.arg], form: Form) -> str | None:
    """Return how a launch of this form contradicts annotations, for an error; None if it does not.

    The text follows the name of the workunit.
    """
    own = annotated_form(parameters)
    first = parameters[0].annotation if parameters else None
    if form.rank == 0 and is_index(first):
        return "takes an index: launch it with a RangePolicy"
    if form.rank > 0 and own.rank == 0:
        return "takes a team: launch it with a TeamPolicy"
    indices = [
        p for p in parameters[: form.rank] if p.annotation is None or _is_integer(p.annotation)
    ]
    if form.rank > 1 and len(indices) < form.rank:
        return f"takes fewer than {form.rank} indices, the rank of its policy"
    roles = read_roles(parameters, form)
    fits = not any(is_accumulator(p.annotation) for p in roles.arguments)
    if form.pattern != "for":
        fits = fits and _may_be(roles.accumulator, is_accumulator)
    if form.pattern == "scan":
        fits = fits and _may_be(roles.last, is_bool)
    if own.pattern == "scan" and form.pattern == "reduce":
        fits = False
    if fits:
        return None
    return f"is a pk.parallel_{own.pattern} workunit, not a pk.parallel_{form.pattern} one"


def _may_be(parameter: ast.arg | None, is_role: Callable[[ast.expr | None], bool]) -> bool:
    """Return whether there is this parameter, and its annotation is that of a role or missing."""
    if parameter is None:
        return False
    return parameter.annotation is None or is_role(parameter.annotation)


def is_accumulator(annotation: ast.expr | None) -> bool:
    """Return whether an annotation is `pk.Acc[X]`."""
    return subscripted(annotation, "Acc") is not None


def is_bool(annotation: ast.expr | None) -> bool:
    """Return whether an annotation is `bool`."""
    return is_name(annotation, "bool")


def is_index(annotation: ast.expr | None) -> bool:
    """Return whether an annotation is a type of work-item indices: a number."""
    scalar = scalar_annotation(annotation)
    return scalar is not None and scalar != BOOL


def _is_integer(annotation: ast.expr) -> bool:
    scalar = scalar_annotation(annotation)
    return scalar is not None and scalar.is_int


def is_name(annotation: ast.expr | None, name: str) -> bool:
    """Return whether an annotation is the name of one of Python's own types."""
    return isinstance(annotation, ast.Name) and annotation.id == name
