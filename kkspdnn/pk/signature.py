"""The parameter list of a workunit, sorted by role."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kkspdnn.pk.types import Scalar, View

Pattern = Literal["for", "reduce", "scan"]


Types = tuple[Scalar | View, ...]
"""The types of a workunit's parameters without annotation, in their order."""


@dataclass(frozen=True)
class Parameter:
    """An argument that a launch passes by name."""

    name: str
    type: Scalar | View


@dataclass(frozen=True)
class Signature:
    """What a workunit's parameter list says.

    index: name of the work item (an `int`) or of the team handle
    accumulator, last: names of the `pk.Acc` and of the scan's `bool`, where there are any
    """

    pattern: Pattern
    team: bool
    index: str
    accumulator: str | None
    result: Scalar | None
    last: str | None
    parameters: tuple[Parameter, ...]
