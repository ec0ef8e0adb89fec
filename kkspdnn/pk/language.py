"""The API of PyKokkos that the built-in compiler implements, imported as `pykokkos`.

The names and arguments are PyKokkos's (github.com/kokkos/pykokkos). Names that only annotations and
bodies of workunits use, such as `View1D` or `atomic_fetch_add`, do nothing in Python: the compiler
reads the source of the workunit.
"""

from __future__ import annotations

from typing import Final

from kkspdnn.pk.api.data_types import (
    DataType,
    DataTypeClass,
    bool,
    double,
    float,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    real,
    uint8,
    uint16,
    uint32,
    uint64,
)
from kkspdnn.pk.api.decorators import function, workunit
from kkspdnn.pk.api.memory import (
    Layout,
    MemorySpace,
    Trait,
    ViewTypeInfo,
    get_default_layout,
    get_default_memory_space,
    is_host_execution_space,
)
from kkspdnn.pk.api.missing_names import describe_missing
from kkspdnn.pk.api.source_names import (
    Acc,
    PerTeam,
    PerThread,
    ScratchView1D,
    ScratchView2D,
    ScratchView3D,
    TeamMember,
    TeamThreadMDRange,
    TeamThreadRange,
    ThreadVectorRange,
    View1D,
    View2D,
    View3D,
    atomic_add,
    atomic_compare_exchange,
    atomic_fetch_add,
    atomic_fetch_and,
    atomic_fetch_div,
    atomic_fetch_lshift,
    atomic_fetch_max,
    atomic_fetch_min,
    atomic_fetch_mod,
    atomic_fetch_mul,
    atomic_fetch_or,
    atomic_fetch_rshift,
    atomic_fetch_sub,
    atomic_fetch_xor,
    atomic_increment,
    cpp_auto,
    single,
)
from kkspdnn.pk.api.utilities import Timer, fence, printf
from kkspdnn.pk.api.views import View, array, asarray
from kkspdnn.pk.dispatch import parallel_for, parallel_reduce, parallel_scan
from kkspdnn.pk.frontend.diagnostics import WorkunitError, WorkunitWarning
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
    "Atomic",
    "Cuda",
    "CudaSpace",
    "CudaUVMSpace",
    "DataType",
    "DataTypeClass",
    "Default",
    "ExecutionSpace",
    "ExecutionSpaceInstance",
    "HIPManagedSpace",
    "HIPSpace",
    "HostSpace",
    "Iterate",
    "Layout",
    "LayoutDefault",
    "LayoutLeft",
    "LayoutRight",
    "MDRangePolicy",
    "MemorySpace",
    "MemorySpaceDefault",
    "OpenMP",
    "OpenMPTargetSpace",
    "PerTeam",
    "PerThread",
    "RandomAccess",
    "RangePolicy",
    "Rank",
    "Restrict",
    "ScratchView1D",
    "ScratchView2D",
    "ScratchView3D",
    "Serial",
    "Subview",
    "TeamMember",
    "TeamPolicy",
    "TeamThreadMDRange",
    "TeamThreadRange",
    "ThreadVectorRange",
    "Timer",
    "Trait",
    "TraitDefault",
    "Unmanaged",
    "View",
    "View1D",
    "View2D",
    "View3D",
    "ViewType",
    "ViewTypeInfo",
    "WorkunitError",
    "WorkunitWarning",
    "array",
    "asarray",
    "atomic_add",
    "atomic_compare_exchange",
    "atomic_fetch_add",
    "atomic_fetch_and",
    "atomic_fetch_div",
    "atomic_fetch_lshift",
    "atomic_fetch_max",
    "atomic_fetch_min",
    "atomic_fetch_mod",
    "atomic_fetch_mul",
    "atomic_fetch_or",
    "atomic_fetch_rshift",
    "atomic_fetch_sub",
    "atomic_fetch_xor",
    "atomic_increment",
    "bool",
    "cpp_auto",
    "double",
    "fence",
    "float",
    "float32",
    "float64",
    "function",
    "get_default_layout",
    "get_default_memory_space",
    "get_default_space",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_host_execution_space",
    "parallel_for",
    "parallel_reduce",
    "parallel_scan",
    "printf",
    "real",
    "set_default_space",
    "single",
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


LayoutRight: Final = Layout.LayoutRight
LayoutLeft: Final = Layout.LayoutLeft
LayoutDefault: Final = Layout.LayoutDefault

HostSpace: Final = MemorySpace.HostSpace
CudaSpace: Final = MemorySpace.CudaSpace
CudaUVMSpace: Final = MemorySpace.CudaUVMSpace
HIPSpace: Final = MemorySpace.HIPSpace
HIPManagedSpace: Final = MemorySpace.HIPManagedSpace
OpenMPTargetSpace: Final = MemorySpace.OpenMPTargetSpace
MemorySpaceDefault: Final = MemorySpace.MemorySpaceDefault

TraitDefault: Final = Trait.TraitDefault
Atomic: Final = Trait.Atomic
RandomAccess: Final = Trait.RandomAccess
Restrict: Final = Trait.Restrict
Unmanaged: Final = Trait.Unmanaged

Subview = View
ViewType = View


def __getattr__(name: str) -> UnsupportedSpace:
    """Return an execution space that kkspdnn does not support, such as HIP.

    Raises AttributeError for any other name, with what to write instead.
    """
    if name in UNSUPPORTED_SPACES:
        return UNSUPPORTED_SPACES[name]
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # With its own name, Python adds no "Did you mean" of another name.
    raise AttributeError(describe_missing(name, __all__), name=name)


def __dir__() -> list[str]:
    return sorted(__all__)
