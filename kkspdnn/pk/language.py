"""The API of PyKokkos that the built-in compiler implements, imported as `pykokkos`.

The names and arguments are PyKokkos's (github.com/kokkos/pykokkos). Names that only annotations and
bodies of workunits use, such as `View1D` or `atomic_fetch_add`, do nothing in Python: the compiler
reads the source of the workunit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn

from kkspdnn.pk.dispatch import parallel_for, parallel_reduce, parallel_scan
from kkspdnn.pk.frontend.workunit import Function, Workunit
from kkspdnn.pk.policy import AUTO, Iterate, MDRangePolicy, RangePolicy, Rank, TeamPolicy
from kkspdnn.pk.runtime.launch_times import time_launches
from kkspdnn.pk.spaces import (
    DEFAULT,
    UNSUPPORTED_SPACES,
    DefaultSpace,
    ExecutionSpace,
    ExecutionSpaceInstance,
    UnsupportedSpace,
    get_default_space,
    set_default_space,
)

__all__ = [
    "AUTO",
    "Acc",
    "Cuda",
    "Default",
    "ExecutionSpace",
    "ExecutionSpaceInstance",
    "Iterate",
    "MDRangePolicy",
    "OpenMP",
    "RangePolicy",
    "Rank",
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
    "get_default_space",
    "int8",
    "int16",
    "int32",
    "int64",
    "parallel_for",
    "parallel_reduce",
    "parallel_scan",
    "set_default_space",
    "time_launches",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "workunit",
]

__path__: list[str] = []
"""Without it, Python would refuse `import pykokkos.interface`, and a missing NAME in `from pykokkos
import NAME`, without the reason that `__getattr__` and `kkspdnn.pykokkos_finder` give."""

Serial: Final = ExecutionSpace.Serial
OpenMP: Final = ExecutionSpace.OpenMP
Cuda: Final = ExecutionSpace.Cuda
Default: Final[DefaultSpace] = DEFAULT


def __getattr__(name: str) -> UnsupportedSpace:
    """Return an execution space that kkspdnn does not support, such as HIP."""
    if name in UNSUPPORTED_SPACES:
        return UNSUPPORTED_SPACES[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def workunit(function: Callable[..., Any]) -> Workunit:
    """Mark a function as a workunit, which `pk.parallel_for` and the like compile and launch."""
    return Workunit(function)


def function(function: Callable[..., Any]) -> Function:
    """Mark a function that workunits of the same file may call."""
    return Function(function)


class _SourceOnly:
    """A name that only the compiler reads."""

    def __class_getitem__(cls, item: object) -> type[_SourceOnly]:
        return cls

    def __init__(self, *_: object) -> None:
        raise TypeError(f"pk.{type(self).__name__} has a meaning only inside a workunit")


class int8(_SourceOnly): ...


class int16(_SourceOnly): ...


class int32(_SourceOnly): ...


class int64(_SourceOnly): ...


class uint8(_SourceOnly): ...


class uint16(_SourceOnly): ...


class uint32(_SourceOnly): ...


class uint64(_SourceOnly): ...


class float(_SourceOnly): ...


class double(_SourceOnly): ...


class cpp_auto(_SourceOnly): ...


class bool(_SourceOnly): ...


class Acc(_SourceOnly): ...


class View1D(_SourceOnly): ...


class View2D(_SourceOnly): ...


class View3D(_SourceOnly): ...


class TeamMember(_SourceOnly): ...


class TeamThreadRange(_SourceOnly): ...


class ThreadVectorRange(_SourceOnly): ...


def _atomic(*_: object) -> NoReturn:
    raise TypeError("a pk atomic has a meaning only inside a workunit")


atomic_fetch_add = atomic_fetch_sub = atomic_fetch_max = atomic_fetch_min = _atomic
atomic_fetch_and = atomic_fetch_or = atomic_fetch_xor = _atomic
