"""The names that a workunit and its launch may use: `import pykokkos as pk` gives this module.

They are PyKokkos's own (github.com/kokkos/pykokkos), as far as the built-in compiler takes them.
What stands only in annotations and bodies, such as `View1D` or `atomic_fetch_add`, is never run:
the compiler reads the workunit's source.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn

from kkspdnn.pk.dispatch import parallel_for, parallel_reduce, parallel_scan
from kkspdnn.pk.frontend.workunit import Function, Workunit
from kkspdnn.pk.policy import (
    AUTO,
    OTHER_SPACES,
    ExecutionSpace,
    OtherSpace,
    RangePolicy,
    TeamPolicy,
)

__all__ = [
    "AUTO",
    "Acc",
    "Cuda",
    "ExecutionSpace",
    "OpenMP",
    "RangePolicy",
    "Serial",
    "TeamMember",
    "TeamPolicy",
    "TeamThreadRange",
    "ThreadVectorRange",
    "View1D",
    "View2D",
    "View3D",
    "atomic_fetch_add",
    "atomic_fetch_and",
    "atomic_fetch_max",
    "atomic_fetch_min",
    "atomic_fetch_or",
    "atomic_fetch_sub",
    "atomic_fetch_xor",
    "bool",
    "cpp_auto",
    "double",
    "float",
    "function",
    "int8",
    "int16",
    "int32",
    "int64",
    "parallel_for",
    "parallel_reduce",
    "parallel_scan",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "workunit",
]

Serial: Final = ExecutionSpace.Serial
OpenMP: Final = ExecutionSpace.OpenMP
Cuda: Final = ExecutionSpace.Cuda


def __getattr__(name: str) -> OtherSpace:
    """Those that only PyKokkos or Kokkos has, such as HIP."""
    if name in OTHER_SPACES:
        return OTHER_SPACES[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def workunit(function: Callable[..., Any]) -> Workunit:
    """Mark a function as a workunit: to be compiled, and launched by pk.parallel_*."""
    return Workunit(function)


def function(function: Callable[..., Any]) -> Function:
    """Mark a function that workunits of the same file call."""
    return Function(function)


class _Word:
    """A name that only the compiler reads."""

    def __class_getitem__(cls, item: object) -> type[_Word]:
        return cls

    def __init__(self, *_: object) -> None:
        raise TypeError(f"pk.{type(self).__name__} has a meaning only inside a workunit")


class int8(_Word): ...


class int16(_Word): ...


class int32(_Word): ...


class int64(_Word): ...


class uint8(_Word): ...


class uint16(_Word): ...


class uint32(_Word): ...


class uint64(_Word): ...


class float(_Word): ...


class double(_Word): ...


class cpp_auto(_Word): ...


class bool(_Word): ...


class Acc(_Word): ...


class View1D(_Word): ...


class View2D(_Word): ...


class View3D(_Word): ...


class TeamMember(_Word): ...


class TeamThreadRange(_Word): ...


class ThreadVectorRange(_Word): ...


def _atomic(*_: object) -> NoReturn:
    raise TypeError("a pk atomic has a meaning only inside a workunit")


atomic_fetch_add = atomic_fetch_sub = atomic_fetch_max = atomic_fetch_min = _atomic
atomic_fetch_and = atomic_fetch_or = atomic_fetch_xor = _atomic
