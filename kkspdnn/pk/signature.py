"""The signature of a workunit: its parameters by role."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kkspdnn.pk.types import Scalar, View

Pattern = Literal["for", "reduce", "scan"]
"""`pk.parallel_for`, `pk.parallel_reduce` or `pk.parallel_scan`."""

Types = tuple[Scalar | View, ...]
"""The types of a workunit's parameters without annotation, in their order."""


@dataclass(frozen=True)
class Form:
    """What decides the roles of a workunit's first parameters.

    pattern: the pattern that launches it
    rank: the number of its work-item indices; 0 if it takes a team
    """

    pattern: Pattern
    rank: int


@dataclass(frozen=True)
class Parameter:
    """A parameter that a launch passes by name."""

    name: str
    type: Scalar | View


@dataclass(frozen=True)
class Signature:
    """The parameter list of a workunit.

    pattern: the pattern that launches it
    team: whether its policy is a TeamPolicy
    items: the names of the work-item indices, or of the team handle
    accumulator, result: the name and the type of the `pk.Acc` of a reduction or a scan, else None
    last: the name of the `bool` of a scan, else None
    parameters: all others, in their order
    """

    pattern: Pattern
    team: bool
    items: tuple[str, ...]
    accumulator: str | None
    result: Scalar | None
    last: str | None
    parameters: tuple[Parameter, ...]
