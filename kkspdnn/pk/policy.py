"""Execution spaces and policies, with PyKokkos's names and argument orders."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, EnumMeta
from typing import NoReturn

from kkspdnn.errors import SpaceError

INT32_MAX = 2**31 - 1


@dataclass(frozen=True)
class OtherSpace:
    """An execution space of Kokkos that kkspdnn does not run on, such as `pk.HIP`. It can be named,
    as in a script for several machines, but a policy on it is refused."""

    name: str

    def refuse(self) -> NoReturn:
        """Raise SpaceError."""
        available = ", ".join(f"pk.{each.name}" for each in ExecutionSpace)
        raise SpaceError(
            f"pk.{self.name}: kkspdnn does not run on this execution space; choose one of "
            f"{available} (NVIDIA GPUs)"
        )


OTHER_SPACES = {
    name: OtherSpace(name)
    for name in ("HIP", "HPX", "OpenACC", "OpenMPTarget", "Pthreads", "SYCL", "Threads")
}


class _Spaces(EnumMeta):
    """Gives the other spaces as attributes, which are no members."""

    def __getattr__(cls, name: str) -> OtherSpace:
        if name in OTHER_SPACES:
            return OTHER_SPACES[name]
        # Until Python 3.11 members are found so.
        members = getattr(super(), "__getattr__", None)
        if members is not None:
            return members(name)  # type: ignore[no-any-return]
        raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}")


class ExecutionSpace(Enum, metaclass=_Spaces):
    """Where a workunit runs; the value is the C++ name after `Kokkos::`."""

    Serial = "Serial"
    OpenMP = "OpenMP"
    Cuda = "Cuda"


class AUTO:
    """As a team size: let Kokkos choose."""


def _space(policy: str, space: object) -> ExecutionSpace:
    if isinstance(space, OtherSpace):
        space.refuse()
    if not isinstance(space, ExecutionSpace):
        raise TypeError(f"{policy} needs an execution space first, not {space!r}")
    return space


def _whole(name: str, value: object, least: int) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be a whole number, not {type(value).__name__}")
    number = int(value.__index__())
    if not least <= number <= INT32_MAX:
        raise ValueError(f"{name} = {number} is outside {least} to {INT32_MAX}")
    return number


class RangePolicy:
    """`RangePolicy(space, begin, end)`: one work item for every integer in [begin, end).

    Work items are `int32_t`, as in PyKokkos, so `end` is at most 2^31 - 1.
    """

    __slots__ = ("begin", "end", "space")

    def __init__(self, space: ExecutionSpace, begin: int, end: int) -> None:
        self.space = _space("RangePolicy", space)
        self.begin = _whole("RangePolicy begin", begin, 0)
        self.end = _whole("RangePolicy end", end, 0)


class TeamPolicy:
    """`TeamPolicy(space, league_size, team_size or AUTO[, vector_length])`."""

    __slots__ = ("league_size", "space", "team_size", "vector_length")

    def __init__(
        self,
        space: ExecutionSpace,
        league_size: int,
        team_size: int | type[AUTO],
        vector_length: int = 1,
    ) -> None:
        self.space = _space("TeamPolicy", space)
        self.league_size = _whole("TeamPolicy league_size", league_size, 0)
        self.team_size = 0 if team_size is AUTO else _whole("TeamPolicy team_size", team_size, 1)
        self.vector_length = _whole("TeamPolicy vector_length", vector_length, 1)


Policy = RangePolicy | TeamPolicy
