"""Execution policies, with PyKokkos's names and argument orders.

A policy does not change after it is made. What a launch needs of it is therefore an attribute:

fields: the first values of the packed arguments, see `policy_fields` in `codegen/emit.py`
rank: the number of indices of a work item; 0 of a team
single_thread: whether one thread can do all work items instead of several, which a team of several
threads needs; None on Serial, where one thread does them anyway
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from math import prod
from typing import Any, Final

from kkspdnn.errors import short_repr
from kkspdnn.pk.spaces import DEFAULT, get_default_space, is_space, resolve_space
from kkspdnn.pk.spaces import ExecutionSpace as ExecutionSpace

INT32_MAX: Final = 2**31 - 1
INT64_MAX: Final = 2**63 - 1

_MAX_RANK = 6
"""The highest rank of a Kokkos::MDRangePolicy."""

_MAX_BLOCK = 1024
"""Maximum number of threads of a block on all NVIDIA GPUs; each does one work item of a tile."""


class AUTO:
    """The team size that lets Kokkos choose; PyKokkos takes the text "auto" too."""


class Iterate(Enum):
    """The order in which an MDRangePolicy counts its indices; the value is its name in C++."""

    Left = "Kokkos::Iterate::Left"
    Right = "Kokkos::Iterate::Right"
    Default = "Kokkos::Iterate::Default"


class Rank:
    """`Rank(n, iter_outer, iter_inner)`: the number of indices of an MDRangePolicy, and the orders
    of its tiles and in a tile."""

    __slots__ = ("iter_inner", "iter_outer", "n")

    def __init__(
        self,
        n: int,
        iter_outer: Iterate = Iterate.Default,
        iter_inner: Iterate = Iterate.Default,
    ) -> None:
        self.n = checked_int("Rank n", n, 2)
        self.iter_outer = iter_outer
        self.iter_inner = iter_inner


def checked_int(name: str, value: object, minimum: int) -> int:
    """Return an `int32_t` of a policy; raise TypeError or ValueError if it is none."""
    if type(value) is int and minimum <= value <= INT32_MAX:
        return value
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be a whole number, not {type(value).__name__}")
    number = int(value.__index__())
    if not minimum <= number <= INT32_MAX:
        raise ValueError(f"{name} = {number} is outside {minimum} to {INT32_MAX}")
    return number


def _split_space(
    policy: str, arguments: tuple[Any, ...], count: int
) -> tuple[ExecutionSpace, tuple[Any, ...]]:
    """Return the space of a policy, and its other arguments, of which there are at most `count`."""
    first = arguments[0] if arguments else None
    if type(first) is ExecutionSpace:
        return first, arguments[1:]
    if is_space(first) or isinstance(first, str) or len(arguments) > count:
        return resolve_space(policy, first), arguments[1:]
    return get_default_space(), arguments


def _single_thread(space: ExecutionSpace, possible: bool = True) -> bool | None:
    return None if space is ExecutionSpace.Serial else possible


class RangePolicy:
    """`RangePolicy([space, ]begin, end)`: one work item for each integer in [begin, end).

    Work items are `int32_t`, as in PyKokkos, so `end` is at most 2^31 - 1.
    """

    __slots__ = ("begin", "end", "fields", "single_thread", "space")
    rank: Final = 1

    def __init__(self, *arguments: Any) -> None:
        """Without a space, the default space at this time."""
        self.space, rest = _split_space("RangePolicy", arguments, 2)
        if len(rest) != 2:
            raise TypeError(
                f"RangePolicy takes (begin, end) or (space, begin, end), not {len(arguments)} "
                "arguments"
            )
        self.begin = checked_int("RangePolicy begin", rest[0], 0)
        self.end = checked_int("RangePolicy end", rest[1], 0)
        self.fields = self.begin, max(self.begin, self.end), 0, 0
        self.single_thread = _single_thread(self.space)

    def __repr__(self) -> str:
        return f"RangePolicy(pk.{self.space.name}, {self.begin}, {self.end})"


class TeamPolicy:
    """`TeamPolicy([space, ]league_size, team_size or AUTO[, vector_length])`."""

    __slots__ = (
        *("fields", "league_size", "single_thread", "space", "team_size"),
        "vector_length",
    )
    rank: Final = 0

    def __init__(self, *arguments: Any) -> None:
        """Without a space, the default space at this time."""
        self.space, rest = _split_space("TeamPolicy", arguments, 3)
        if len(rest) not in (2, 3):
            raise TypeError(
                "TeamPolicy takes ([space, ]league_size, team_size[, vector_length]), not "
                f"{len(arguments)} arguments"
            )
        automatic = rest[1] is AUTO or rest[1] == "auto"
        vector_length = rest[2] if len(rest) == 3 else 1
        self.league_size = checked_int("TeamPolicy league_size", rest[0], 0)
        self.team_size = 0 if automatic else checked_int("TeamPolicy team_size", rest[1], 1)
        self.vector_length = checked_int("TeamPolicy vector_length", vector_length, 1)
        self.fields = 0, self.league_size, self.team_size, self.vector_length
        self.single_thread = _single_thread(self.space, self.team_size == 1)

    def set_scratch_size(self, level: int, size: object) -> TeamPolicy:
        """Return this policy; its launches allocate what the scratch views of the workunit need.

        size: `pk.PerTeam(n)` or `pk.PerThread(n)`, ignored as in PyKokkos
        """
        if level not in (0, 1):
            raise ValueError(f"TeamPolicy.set_scratch_size level {level!r}: Kokkos has 0 and 1")
        return self

    def __repr__(self) -> str:
        team_size = self.team_size or "pk.AUTO"
        return (
            f"TeamPolicy(pk.{self.space.name}, {self.league_size}, {team_size}, "
            f"{self.vector_length})"
        )


class MDRangePolicy:
    """`MDRangePolicy(begin, end, tiling=None, space=Default, ...)`: one work item for each tuple of
    2 to 6 integers, the i-th of which is in [begin[i], end[i]).

    The work items are done in tiles; `tiling` has the number of work items of a tile in each
    dimension, in which 0 lets Kokkos choose.
    """

    __slots__ = ("begin", "end", "fields", "rank", "single_thread", "space", "tiling")

    def __init__(
        self,
        begin: Sequence[int],
        end: Sequence[int],
        tiling: Sequence[int] | None = None,
        space: Any = DEFAULT,
        iter_outer: Iterate = Iterate.Default,
        iter_inner: Iterate = Iterate.Default,
        rank: Rank | None = None,
    ) -> None:
        """rank: overrides iter_outer and iter_inner; its `n` must be the number of dimensions.

        Raises TypeError and ValueError, and SpaceError for a space that is not supported.
        """
        self.space: ExecutionSpace = resolve_space("MDRangePolicy", space)
        self.begin = _checked_ints("begin", begin)
        self.end = _checked_ints("end", end)
        self.rank = len(self.begin)
        self.tiling = _checked_ints("tiling", tiling) if tiling is not None else (0,) * self.rank
        if not 2 <= self.rank <= _MAX_RANK:
            raise ValueError(
                f"MDRangePolicy has {self.rank} dimensions: 2 to {_MAX_RANK} are supported, and "
                "one is a RangePolicy"
            )
        for name, values in (("end", self.end), ("tiling", self.tiling)):
            if len(values) != self.rank:
                raise ValueError(
                    f"MDRangePolicy begin has {self.rank} dimensions, but {name} has {len(values)}"
                )
        if rank is not None:
            if rank.n != self.rank:
                raise ValueError(f"MDRangePolicy has {self.rank} dimensions, but rank {rank.n}")
            iter_outer, iter_inner = rank.iter_outer, rank.iter_inner
        outer_left = _is_left(self.space, "iter_outer", iter_outer)
        inner_left = _is_left(self.space, "iter_inner", iter_inner)
        self.fields = *self._limits(inner_left), 2 * outer_left + inner_left
        self.single_thread = _single_thread(self.space)

    def __repr__(self) -> str:
        begin, end, tiling = list(self.begin), list(self.end), list(self.tiling)
        return f"MDRangePolicy({begin}, {end}, {tiling}, pk.{self.space.name})"

    def _limits(self, inner_left: bool) -> Sequence[int]:
        """Return begin, end and tile of each dimension, those of an empty range as 0, 0 and 1.

        inner_left: whether the first index counts up first in a tile

        Raises ValueError where Kokkos would end the process.
        """
        extents = [max(0, end - begin) for begin, end in zip(self.begin, self.end, strict=True)]
        if 0 in extents:
            return (0, 0, 1) * self.rank
        if prod(extents) > INT64_MAX:
            raise ValueError(
                f"MDRangePolicy has {prod(extents)} work items: at most {INT64_MAX} are supported"
            )
        gpu = self.space is ExecutionSpace.Cuda
        # Those that Kokkos chooses, see get_tile_size_properties.
        chosen, first = [2] * self.rank, 0 if inner_left else -1
        chosen[first] = 16 if gpu else extents[first]
        tiles = [min(tile, extent) for tile, extent in zip(self.tiling, extents, strict=True)]
        size = prod(tile or own for tile, own in zip(tiles, chosen, strict=True))
        maximum = _MAX_BLOCK if gpu else INT32_MAX
        if any(tiles) and size > maximum:
            raise ValueError(
                f"MDRangePolicy tiling {list(self.tiling)} gives tiles of {size} work items: "
                f"{self.space.value} supports at most {maximum}"
            )
        dimensions = zip(self.begin, self.end, tiles, strict=True)
        return [limit for dimension in dimensions for limit in dimension]


def _checked_ints(name: str, values: object) -> tuple[int, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(
            f"MDRangePolicy {name} must be a list of whole numbers, not {type(values).__name__}"
        )
    numbers = tuple(values)
    if all(type(each) is int and 0 <= each <= INT32_MAX for each in numbers):
        return numbers
    return tuple(checked_int(f"MDRangePolicy {name}[{i}]", v, 0) for i, v in enumerate(numbers))


def _is_left(space: ExecutionSpace, name: str, order: object) -> bool:
    """Return whether an order counts the first index up first; Iterate.Default is that of Kokkos
    for the space."""
    if not isinstance(order, Iterate):
        raise TypeError(f"MDRangePolicy {name} must be a pk.Iterate, not {short_repr(order)}")
    if order is Iterate.Default:
        return space is ExecutionSpace.Cuda
    return order is Iterate.Left


Policy = RangePolicy | TeamPolicy | MDRangePolicy
