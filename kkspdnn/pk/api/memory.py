"""Where and how views lie in memory: memory spaces, layouts and traits, with PyKokkos's names."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from kkspdnn.errors import InputError, SpaceError, short_repr
from kkspdnn.pk.spaces import DEFAULT, ExecutionSpace, is_space, resolve_space


class MemorySpace(Enum):
    """A memory space; the value is its C++ name in the namespace Kokkos."""

    HostSpace = "HostSpace"
    CudaSpace = "CudaSpace"
    CudaUVMSpace = "CudaUVMSpace"
    HIPSpace = "HIPSpace"
    HIPManagedSpace = "HIPManagedSpace"
    OpenMPTargetSpace = "Experimental::OpenMPTargetSpace"
    MemorySpaceDefault = ""


class Layout(Enum):
    """The order of the elements of a view; LayoutRight is that of C and of NumPy's arrays."""

    LayoutRight = "LayoutRight"
    LayoutLeft = "LayoutLeft"
    LayoutDefault = ""


class Trait(Enum):
    """A memory trait of Kokkos.

    RandomAccess and Restrict are hints, which kkspdnn accepts and does not need. Unmanaged views
    are those of an array that exists. Views whose accesses are all atomic (Atomic) are refused.
    """

    TraitDefault = ""
    Atomic = "Atomic"
    RandomAccess = "RandomAccess"
    Restrict = "Restrict"
    Unmanaged = "Unmanaged"


@dataclass(frozen=True, kw_only=True)
class ViewTypeInfo:
    """What `@pk.workunit(x=pk.ViewTypeInfo(...))` says about the view of a parameter.

    The arrays of a launch decide where a view lies, so that `space` says nothing new.
    """

    space: MemorySpace | None = None
    layout: Layout | None = None
    trait: Trait | None = None


def get_default_memory_space(space: Any) -> MemorySpace:
    """Return the memory space of the views of an execution space."""
    resolved = resolve_space("get_default_memory_space", space)
    return MemorySpace.CudaSpace if resolved is ExecutionSpace.Cuda else MemorySpace.HostSpace


def get_default_layout(space: MemorySpace) -> Layout:
    """Return the layout of a view without a layout: LayoutRight in every memory space.

    PyKokkos has LayoutLeft on GPUs. A workunit's results do not depend on it.
    """
    return Layout.LayoutRight


def is_host_execution_space(space: Any) -> bool:
    """Return whether workunits of an execution space run on the host."""
    return resolve_space("is_host_execution_space", space) is not ExecutionSpace.Cuda


def supported_memory_space(caller: str, space: Any) -> MemorySpace:
    """Return the memory space that an argument stands for.

    caller: the function of PyKokkos that takes it
    space: a memory space, MemorySpaceDefault for that of the default execution space, or an
    execution space

    Raises TypeError if it is neither, and SpaceError if views cannot lie there.
    """
    if is_space(space):
        return get_default_memory_space(space)
    if not isinstance(space, MemorySpace):
        raise TypeError(f"{caller} takes a memory space, not {short_repr(space)}")
    if space is MemorySpace.MemorySpaceDefault:
        return get_default_memory_space(DEFAULT)
    remedy = "use pk.HostSpace, or pk.CudaSpace for an NVIDIA GPU"
    if space is MemorySpace.CudaUVMSpace:
        remedy = "use pk.CudaSpace and copy between it and the host, for example with view[:] = x"
    elif space in (MemorySpace.HostSpace, MemorySpace.CudaSpace):
        return space
    raise SpaceError(f"{caller}: pk.{space.name} is not supported; {remedy}")


def check_layout(where: str, layout: Layout, rank: int) -> None:
    """Raise InputError for LayoutLeft of several dimensions."""
    if layout is Layout.LayoutLeft and rank > 1:
        raise InputError(
            f"{where}: pk.LayoutLeft of {rank} dimensions is not supported; leave the layout out "
            "for pk.LayoutRight, which gives the same results"
        )


def check_trait(where: str, trait: Trait) -> None:
    """Raise InputError for a trait that would change results if it were ignored."""
    if trait is Trait.Atomic:
        raise InputError(
            f"{where}: pk.Atomic is not supported; leave the trait out and write, in the workunit, "
            "pk.atomic_fetch_add(view, [i], value) instead of view[i] += value"
        )
