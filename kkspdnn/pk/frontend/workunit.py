"""The objects that `@pk.workunit` and `@pk.function` return."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from kkspdnn.pk.frontend.decorated import Decorated
from kkspdnn.pk.frontend.parse import parse
from kkspdnn.pk.frontend.roles import Roles, contradiction
from kkspdnn.pk.signature import Form


class Workunit(Decorated):
    """A workunit, or a workunit in the form of some of its launches.

    programs: the specializations that this process has loaded, by execution space and the types of
    the parameters without annotation
    label: of launches that name none
    last: the pattern, the rank, the space and the program of the last launch, in any form
    """

    def __init__(self, function: Callable[..., Any], form: Form | None = None) -> None:
        super().__init__(function)
        self.form = form
        self.programs: dict[object, Any] = {}
        self.label = self.__name__.encode()
        self.last: tuple[Any, ...] | None = None
        self._forms: dict[Form, Workunit] = {}

    @cached_property
    def roles(self) -> Roles:
        """The parameters by role."""
        return parse(self).roles

    @property
    def generic(self) -> tuple[str, ...]:
        """The arguments without annotation, whose types a launch sets."""
        return self.roles.generic

    def in_form(self, form: Form) -> Workunit:
        """Return this workunit as launches of this form compile it.

        That is this object, unless a parameter without annotation has another role in them.

        Raises TypeError if its annotations contradict the form.
        """
        if self.roles.form == form:
            return self
        workunit = self._forms.get(form)
        if workunit is None:
            problem = contradiction(parse(self).node.args.args, form)
            if problem is not None:
                raise TypeError(f"{self.__name__} {problem}")
            workunit = Workunit(self.function, form)
            workunit.timed_cell = self.timed_cell
            workunit = self._forms.setdefault(form, workunit)
        return workunit

    def forget_programs(self) -> None:
        """Compile again at the next launch, because a function that this workunit calls may have
        changed."""
        self.last = None
        self._forms.clear()
        self.programs.clear()


class Function(Decorated):
    """A function that workunits of the same file, or the same notebook, may call."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        _forget_callers(function)


def _forget_callers(function: Callable[..., Any]) -> None:
    """Let workunits that called an earlier function of this name be compiled with the new one.

    Cells run in any order, so a workunit may be older than the function that it calls. A module
    that is imported again defines its workunits again too.
    """
    names = function.__globals__
    is_module = names.get("__spec__") is not None
    if is_module or not isinstance(names.get(function.__name__), Function):
        return
    for value in list(names.values()):
        if isinstance(value, Workunit):
            value.forget_programs()
