"""Execution spaces and the default space, with PyKokkos's names."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, EnumMeta
from functools import cache
from typing import Any, Final, NoReturn

from kkspdnn.errors import SpaceError


@dataclass(frozen=True)
class UnsupportedSpace:
    """An execution space of PyKokkos that kkspdnn does not support, such as `pk.HIP`.

    A script for several machines may name it; a policy on it is refused.
    """

    name: str

    @property
    def value(self) -> str:
        """The name, as of a space that is supported."""
        return self.name

    def refuse(self) -> NoReturn:
        """Raise SpaceError."""
        if self.name == "Debug":
            raise SpaceError(
                "pk.Debug: kkspdnn does not run workunits in Python; launch on pk.Serial with the "
                "environment variable KKSPDNN_DEBUG=1, which checks bounds"
            )
        supported = ", ".join(f"pk.{each.name}" for each in ExecutionSpace)
        raise SpaceError(
            f"pk.{self.name}: kkspdnn does not run on this execution space; choose one of "
            f"{supported} (NVIDIA GPUs)"
        )


UNSUPPORTED_SPACES: Final = {
    name: UnsupportedSpace(name)
    for name in "Debug HIP HPX OpenACC OpenMPTarget Pthreads SYCL Threads".split()
}


class DefaultSpace:
    """The class of `pk.ExecutionSpace.Default`, the space of `get_default_space`."""

    name = value = "Default"

    def __repr__(self) -> str:
        return "<ExecutionSpace.Default>"


DEFAULT: Final = DefaultSpace()


def _other_space(name: object) -> UnsupportedSpace | DefaultSpace | None:
    """Return the space of this name that is not a member of ExecutionSpace, or None."""
    if name == DEFAULT.name:
        return DEFAULT
    return UNSUPPORTED_SPACES.get(name) if isinstance(name, str) else None


class _SpacesMeta(EnumMeta):
    """Adds `Default` and the unsupported spaces, by attribute and by value, as objects that are not
    members."""

    def __getattr__(cls, name: str) -> Any:
        other = _other_space(name)
        if other is not None:
            return other
        # Before Python 3.12, EnumMeta finds members by its own __getattr__.
        members = getattr(super(), "__getattr__", None)
        if members is not None:
            return members(name)
        raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}")

    def __call__(cls, value: Any, *rest: Any, **named: Any) -> Any:
        other = _other_space(value) if not rest and not named else None
        return other or super().__call__(value, *rest, **named)


class ExecutionSpace(Enum, metaclass=_SpacesMeta):
    """The execution space of a workunit; the value is its C++ name in the namespace Kokkos."""

    Serial = "Serial"
    OpenMP = "OpenMP"
    Cuda = "Cuda"

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        names = ", ".join(each.value for each in cls)
        raise ValueError(f"{value!r} is not an execution space: choose Default, {names}")


class ExecutionSpaceInstance:
    """`ExecutionSpaceInstance(space)`: the one stream on which kkspdnn launches in a space.

    A policy takes it in place of the space.
    """

    __slots__ = ("space",)

    def __init__(self, space: Any, stream: Any = None) -> None:
        """Raises SpaceError if there is a stream: launches are on the default stream."""
        if stream is not None:
            raise SpaceError(
                "ExecutionSpaceInstance: kkspdnn launches on the default stream of a space only; "
                "leave out `stream`"
            )
        self.space = resolve_space("ExecutionSpaceInstance", space)


_SPACE_CLASSES: Final = (
    ExecutionSpace,
    ExecutionSpaceInstance,
    DefaultSpace,
    UnsupportedSpace,
)


class _Choice:
    """The default space of the process."""

    def __init__(self) -> None:
        self.space = ExecutionSpace.OpenMP


@cache
def _choice() -> _Choice:
    return _Choice()


def get_default_space() -> ExecutionSpace:
    """Return the space of policies that name none: OpenMP, or that of `set_default_space`."""
    return _choice().space


def set_default_space(space: Any) -> None:
    """Set the space of later policies that name none, in all threads.

    Raises TypeError if it is not an execution space, and SpaceError if it is not supported.
    """
    _choice().space = resolve_space("set_default_space", space)


def is_space(value: object) -> bool:
    """Return whether an argument of a policy stands for a space, which may be unsupported."""
    return isinstance(value, _SPACE_CLASSES)


def resolve_space(caller: str, space: Any) -> ExecutionSpace:
    """Return the space that an argument stands for.

    caller: the function of PyKokkos that takes it

    Raises TypeError if it is not a space, and SpaceError if it is not supported.
    """
    if type(space) is ExecutionSpace:
        return space
    if isinstance(space, ExecutionSpaceInstance):
        return space.space
    if isinstance(space, DefaultSpace):
        return get_default_space()
    if isinstance(space, UnsupportedSpace):
        space.refuse()
    named = [each for each in ExecutionSpace if str(space).lower() == each.value.lower()]
    example = named[0] if named else ExecutionSpace.OpenMP
    raise TypeError(f"{caller} needs an execution space, such as pk.{example.name}, not {space!r}")
