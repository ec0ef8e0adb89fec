"""`@pk.workunit` and `@pk.function`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from types import FunctionType
from typing import Any, overload

from kkspdnn.errors import short_repr
from kkspdnn.pk.api.memory import ViewTypeInfo, check_layout, check_trait
from kkspdnn.pk.frontend.workunit import Function, Workunit


@overload
def workunit(function: Callable[..., Any], /) -> Workunit: ...
@overload
def workunit(**views: ViewTypeInfo) -> Callable[[Callable[..., Any]], Workunit]: ...
def workunit(function: Callable[..., Any] | None = None, /, **views: ViewTypeInfo) -> Any:
    """Mark a function as a workunit, which `pk.parallel_for` and the like compile and launch.

    `@pk.workunit`, `@pk.workunit()` or, with what the views of parameters are,
    `@pk.workunit(x=pk.ViewTypeInfo(layout=pk.LayoutRight))`. In a class, `@staticmethod` may stand
    above or below it.

    Raises TypeError for anything else than a function and for a parameter that does not exist, and
    InputError for a layout or a trait that is not supported.
    """

    def decorate(function: Callable[..., Any]) -> Workunit:
        function = _plain_function("workunit", function)
        check_views(function, views)
        return Workunit(function)

    return decorate if function is None else decorate(function)


def function(function: Callable[..., Any]) -> Function:
    """Mark a function that workunits may call. Raises TypeError for anything else."""
    return Function(_plain_function("function", function))


def _plain_function(decorator: str, function: object) -> Callable[..., Any]:
    """Return a function, or the one in a staticmethod; TypeError for another object."""
    if isinstance(function, staticmethod):
        function = function.__func__
    if not isinstance(function, FunctionType):
        raise TypeError(
            f"@pk.{decorator} takes a function defined with def, not {short_repr(function)}"
        )
    return function


def check_views(function: Callable[..., Any], views: dict[str, ViewTypeInfo]) -> None:
    """Raise TypeError or InputError if the views of a workunit's parameters cannot be such.

    views: by the names of the parameters
    """
    parameters = inspect.signature(function).parameters if views else {}
    for name, info in views.items():
        where = f"@pk.workunit of {function.__name__}: `{name}`"
        if name not in parameters:
            raise TypeError(f"{where} is no parameter; its parameters are {', '.join(parameters)}")
        if not isinstance(info, ViewTypeInfo):
            raise TypeError(f"{where} takes a pk.ViewTypeInfo, not {short_repr(info)}")
        if info.trait is not None:
            check_trait(where, info.trait)
        if info.layout is not None:
            check_layout(where, info.layout, _rank(parameters[name].annotation))


def _rank(annotation: Any) -> int:
    """Return the rank of the view that an annotation names; 1 if it names none.

    annotation: `pk.View2D[pk.float]`, or its text
    """
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    match = re.search(r"\bView([1-3])D\b", text)
    return int(match[1]) if match else 1
