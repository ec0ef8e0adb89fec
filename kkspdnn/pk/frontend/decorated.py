"""Decorated functions: Python does not run them, the compiler reads their source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from kkspdnn.pk.frontend.source_text import read_timed_cell
from kkspdnn.pk.signature import Form


class Decorated:
    """A function with one of the decorators of the workunit language.

    form: of the launches that a workunit is compiled for; None if its annotations say it
    timed_cell: the source, if the function is in a cell of IPython with `%%time`
    """

    form: Form | None = None

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.timed_cell = read_timed_cell(function)
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__

    def __call__(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError(
            f"{self.__qualname__} is PyKokkos code: launch it with pk.parallel_for, "
            "pk.parallel_reduce or pk.parallel_scan"
        )

    def __reduce__(self) -> str:
        """Pickle by name, as for functions; compiled code stays in its process."""
        return self.__qualname__
