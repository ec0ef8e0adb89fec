"""Memory spaces, layouts and traits."""

from __future__ import annotations

import sys

import pykokkos as pk
import pytest

from kkspdnn.errors import InputError, SpaceError


def test_the_members_are_names_of_the_module() -> None:
    for kind in (pk.MemorySpace, pk.Layout, pk.Trait):
        for member in kind:
            assert getattr(pk, member.name) is member


def test_the_defaults_of_an_execution_space() -> None:
    assert pk.get_default_memory_space(pk.OpenMP) is pk.HostSpace
    assert pk.get_default_memory_space(pk.Serial) is pk.HostSpace
    assert pk.get_default_memory_space(pk.Cuda) is pk.CudaSpace
    assert pk.get_default_layout(pk.CudaSpace) is pk.LayoutRight
    assert pk.get_default_memory_space(pk.ExecutionSpace.Default) is pk.HostSpace
    assert [pk.is_host_execution_space(each) for each in (pk.OpenMP, pk.Cuda)] == [True, False]


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (pk.CudaUVMSpace, "pk.CudaUVMSpace is not supported; use pk.CudaSpace and copy"),
        (pk.HIPSpace, "pk.HIPSpace is not supported; use pk.HostSpace, or pk.CudaSpace for"),
        (pk.HIPManagedSpace, "pk.HIPManagedSpace is not supported; use pk.HostSpace"),
        (pk.OpenMPTargetSpace, "pk.OpenMPTargetSpace is not supported; use pk.HostSpace"),
    ],
)
def test_memory_that_views_cannot_have(space: pk.MemorySpace, words: str) -> None:
    with pytest.raises(SpaceError, match=f"^pk.View: {words}"):
        pk.View([2], space=space)


def test_layout_left() -> None:
    assert pk.View([2], layout=pk.LayoutLeft).layout is pk.LayoutLeft
    assert pk.View([2, 2]).layout is pk.LayoutRight
    with pytest.raises(InputError, match=r"^pk.View: pk.LayoutLeft of 2 dimensions is not supp"):
        pk.View([2, 2], layout=pk.Layout.LayoutLeft)
    with pytest.raises(InputError, match=r"^pk.array: pk.LayoutLeft of 2 dimensions is not supp"):
        pk.array([[1]], layout=pk.Layout.LayoutLeft)


def test_traits() -> None:
    for trait in (pk.TraitDefault, pk.RandomAccess, pk.Restrict):
        assert pk.View([2], trait=trait).trait is trait
    with pytest.raises(InputError, match=r"^pk.View: pk.Atomic is not supported; leave the trait"):
        pk.View([2], trait=pk.Atomic)
    with pytest.raises(InputError, match=r"^pk.View: pk.Unmanaged needs array="):
        pk.View([2], trait=pk.Unmanaged)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"layout": "right"}, "takes a pk.Layout, not 'right'"),
        ({"trait": 1}, "takes a pk.Trait, not 1"),
        ({"space": "host"}, "takes a memory space, not 'host'"),
    ],
)
def test_other_values(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        pk.View([2], **arguments)


def test_views_lie_in_the_memory_of_the_default_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    pk.set_default_space(pk.Cuda)
    try:
        with pytest.raises(SpaceError, match="need CuPy"):
            pk.View([2])
        assert pk.View([2], space=pk.HostSpace).space is pk.HostSpace
        assert pk.View([2], space=pk.ExecutionSpace.OpenMP).space is pk.HostSpace
        assert pk.array([2]).space is pk.HostSpace
    finally:
        pk.set_default_space(pk.OpenMP)
    assert pk.View([2]).space is pk.HostSpace
    with pytest.raises(SpaceError, match="pk.HIP: kkspdnn does not run on this"):
        pk.View([2], space=pk.HIP)
