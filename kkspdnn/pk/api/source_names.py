"""Names that only the compiler reads, in the annotations and bodies of workunits."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from types import GenericAlias
from typing import NoReturn


class _SourceOnly:
    """A name that only the compiler reads."""

    def __class_getitem__(cls, item: object) -> GenericAlias:
        # The compiler reads `Vector = pk.View1D[pk.double]` from the value of `Vector`.
        return GenericAlias(cls, (item,))

    def __init__(self, *_: object) -> None:
        raise TypeError(f"pk.{type(self).__name__} has a meaning only inside a workunit")


class _ScratchView(_SourceOnly):
    @staticmethod
    def shmem_size(*extents: int) -> int:
        """Return the maximum number of bytes of a scratch view, for `set_scratch_size`."""
        return 8 * prod(extents)


class _Scope:
    """Outside a workunit, the argument of `pk.TeamPolicy.set_scratch_size`, which ignores it."""

    def __init__(self, size: object) -> None:
        self.size = size


class cpp_auto(_SourceOnly): ...


class Acc(_SourceOnly): ...


class View1D(_SourceOnly): ...


class View2D(_SourceOnly): ...


class View3D(_SourceOnly): ...


class ScratchView1D(_ScratchView): ...


class ScratchView2D(_ScratchView): ...


class ScratchView3D(_ScratchView): ...


class TeamMember(_SourceOnly): ...


class TeamThreadRange(_SourceOnly): ...


class ThreadVectorRange(_SourceOnly): ...


class TeamThreadMDRange(_SourceOnly): ...


class PerTeam(_Scope): ...


class PerThread(_Scope): ...


def _source_only(name: str) -> Callable[..., NoReturn]:
    """Return a function that only the compiler reads."""

    def refuse(*_: object) -> NoReturn:
        raise TypeError(f"pk.{name} has a meaning only inside a workunit")

    refuse.__name__ = refuse.__qualname__ = name
    return refuse


single = _source_only("single")

atomic_fetch_add = _source_only("atomic_fetch_add")
atomic_fetch_sub = _source_only("atomic_fetch_sub")
atomic_fetch_mul = _source_only("atomic_fetch_mul")
atomic_fetch_div = _source_only("atomic_fetch_div")
atomic_fetch_mod = _source_only("atomic_fetch_mod")
atomic_fetch_max = _source_only("atomic_fetch_max")
atomic_fetch_min = _source_only("atomic_fetch_min")
atomic_fetch_and = _source_only("atomic_fetch_and")
atomic_fetch_or = _source_only("atomic_fetch_or")
atomic_fetch_xor = _source_only("atomic_fetch_xor")
atomic_fetch_lshift = _source_only("atomic_fetch_lshift")
atomic_fetch_rshift = _source_only("atomic_fetch_rshift")
atomic_compare_exchange = _source_only("atomic_compare_exchange")
atomic_add = _source_only("atomic_add")
atomic_increment = _source_only("atomic_increment")
