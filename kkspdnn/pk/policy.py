"""Execution spaces and execution policies, with PyKokkos's names and argument orders."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, EnumMeta
from typing import Final, NoReturn

from kkspdnn.errors import SpaceError

INT32_MAX: Final = 2**31 - 1


@dataclass(frozen=True)
class UnsupportedSpace:
    """An execution space of Kokkos that kkspdnn does not support, such as `pk.HIP`.

    A script for several machines may name it; a policy on it is refused.
    """

    name: str

    def refuse(self) -> NoReturn:
        """Raise SpaceError."""
        supported = ", ".join(f"pk.{each.name}" for each in ExecutionSpace)
        raise SpaceError(
            f"pk.{self.name}: kkspdnn does not run on this execution space; choose one of "
            f"{supported} (NVIDIA GPUs)"
        )


UNSUPPORTED_SPACES: Final = {
    name: UnsupportedSpace(name)
    for name in ("HIP", "HPX", "OpenACC", "OpenMPTarget", "Pthreads", "SYCL", "Threads")
}


class _SpacesMeta(EnumMeta):
    """Adds the unsupported spaces as attributes that are not members."""

    def __getattr__(cls, name: str) -> UnsupportedSpace:
        if name in UNSUPPORTED_SPACES:
            return UNSUPPORTED_SPACES[name]
        # Before Python 3.12, EnumMeta finds members by its own __getattr__.
        members = getattr(super(), "__getattr__", None)
        if members is not None:
            return members(name)  # type: ignore[no-any-return]
        raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}")


class ExecutionSpace(Enum, metaclass=_SpacesMeta):
    """The execution space of a workunit; the value is its C++ name in the namespace Kokkos."""

    Serial = "Serial"
    OpenMP = "OpenMP"
    Cuda = "Cuda"


class AUTO:
    """The team size that lets Kokkos choose."""


def _checked_space(policy: str, space: object) -> ExecutionSpace:
    if type(space) is ExecutionSpace:
        return space
    if isinstance(space, UnsupportedSpace):
        space.refuse()
    raise TypeError(f"{policy} needs an execution space first, not {space!r}")


def _checked_int(name: str, value: object, minimum: int) -> int:
    if type(value) is int and minimum <= value <= INT32_MAX:
        return value
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be a whole number, not {type(value).__name__}")
    number = int(value.__index__())
    if not minimum <= number <= INT32_MAX:
        raise ValueError(f"{name} = {number} is outside {minimum} to {INT32_MAX}")
    return number


class RangePolicy:
    """`RangePolicy(space, begin, end)`: one work item for each integer in [begin, end).

    Work items are `int32_t`, as in PyKokkos, so `end` is at most 2^31 - 1.
    """

    __slots__ = ("begin", "end", "space")
    rank: Final = 1

    def __init__(self, space: ExecutionSpace, begin: int, end: int) -> None:
        self.space = _checked_space("RangePolicy", space)
        self.begin = _checked_int("RangePolicy begin", begin, 0)
        self.end = _checked_int("RangePolicy end", end, 0)


class TeamPolicy:
    """`TeamPolicy(space, league_size, team_size or AUTO[, vector_length])`."""

    __slots__ = ("league_size", "space", "team_size", "vector_length")
    rank: Final = 0

    def __init__(
        self,
        space: ExecutionSpace,
        league_size: int,
        team_size: int | type[AUTO],
        vector_length: int = 1,
    ) -> None:
        self.space = _checked_space("TeamPolicy", space)
        self.league_size = _checked_int("TeamPolicy league_size", league_size, 0)
        self.team_size = (
            0 if team_size is AUTO else _checked_int("TeamPolicy team_size", team_size, 1)
        )
        self.vector_length = _checked_int("TeamPolicy vector_length", vector_length, 1)


Policy = RangePolicy | TeamPolicy
