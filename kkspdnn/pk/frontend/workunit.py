"""What `@pk.workunit` and `@pk.function` make of a Python function."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, NoReturn

from kkspdnn.pk.frontend.parse import read_function


class _Decorated:
    """A function that the compiler reads and Python never runs."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__

    def __call__(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError(
            f"{self.__qualname__} is PyKokkos code: give it to pk.parallel_for, "
            "pk.parallel_reduce or pk.parallel_scan"
        )

    def __reduce__(self) -> str:
        """Pickled as functions are, by name: what is compiled stays in its process."""
        return self.__qualname__


class Workunit(_Decorated):
    """A workunit.

    programs: the forms that this process has compiled and loaded, by execution space and the
    types of the parameters without annotation
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self.programs: dict[object, Any] = {}

    @cached_property
    def generic(self) -> tuple[str, ...]:
        """The parameters without annotation: each launch decides their types."""
        arguments = read_function(self.function).node.args.args[1:]
        return tuple(a.arg for a in arguments if a.annotation is None)


class Function(_Decorated):
    """A function that workunits of the same file may call."""
