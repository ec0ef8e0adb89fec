"""The objects that `@pk.workunit` and `@pk.function` return."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from kkspdnn.pk.frontend.decorated import Decorated
from kkspdnn.pk.frontend.parse import parse


class Workunit(Decorated):
    """A workunit.

    programs: the specializations that this process has loaded, by execution space and the types of
    the parameters without annotation
    last: the pattern, the space and the program of the last launch
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self.programs: dict[object, Any] = {}
        self.last: tuple[object, object, Any] | None = None

    @cached_property
    def generic(self) -> tuple[str, ...]:
        """The parameters without annotation, whose types a launch sets."""
        return parse(self).generic


class Function(Decorated):
    """A function that workunits of the same file may call."""
