"""Execution spaces that kkspdnn does not support, the default space, and policies without one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pykokkos as pk
import pytest

from kkspdnn.errors import SpaceError


@pytest.mark.parametrize("name", ["HIP", "SYCL", "Threads", "OpenMPTarget", "OpenACC", "HPX"])
def test_policies_refuse_unsupported_spaces(name: str) -> None:
    """Naming such a space is allowed, for scripts for several machines."""
    message = rf"pk\.{name}: kkspdnn does not run on .* choose one of pk\.Serial, pk\.OpenMP, "
    for space in (getattr(pk, name), getattr(pk.ExecutionSpace, name)):
        with pytest.raises(SpaceError, match=message):
            pk.RangePolicy(space, 0, 3)
        with pytest.raises(SpaceError, match=message):
            pk.TeamPolicy(space, 1, pk.AUTO)
    assert name not in pk.ExecutionSpace.__members__


def test_unknown_names() -> None:
    for namespace in (pk, pk.ExecutionSpace):
        with pytest.raises(AttributeError, match="Abacus"):
            namespace.Abacus


# ---- the default space --------------------------------------------------------------------------


@pytest.fixture
def serial() -> Iterator[None]:
    """Serial is the default space during a test."""
    pk.set_default_space(pk.Serial)
    yield
    pk.set_default_space(pk.OpenMP)


def test_the_default_space_is_openmp() -> None:
    assert pk.get_default_space() is pk.OpenMP
    assert pk.RangePolicy(0, 3).space is pk.OpenMP


POLICIES: dict[str, Callable[..., Any]] = {
    "range": lambda *space: pk.RangePolicy(*space, 2, 7),
    "team": lambda *space: pk.TeamPolicy(*space, 5, pk.AUTO),
    "team with vectors": lambda *space: pk.TeamPolicy(*space, 5, 1, 8),
}


@pytest.mark.parametrize("name", POLICIES)
def test_the_space_is_that_when_the_policy_was_made(name: str, serial: None) -> None:
    make = POLICIES[name]
    implied, explicit = make(), make(pk.OpenMP)
    pk.set_default_space(pk.Cuda)
    assert (implied.space, explicit.space, make().space) == (pk.Serial, pk.OpenMP, pk.Cuda)
    assert implied.fields == explicit.fields


@pytest.mark.parametrize("space", [pk.Default, pk.ExecutionSpace.Default])
def test_the_space_named_default(space: Any, serial: None) -> None:
    assert space is pk.ExecutionSpace("Default")
    for policy in (pk.RangePolicy(space, 0, 3), pk.MDRangePolicy([0, 0], [1, 1], None, space)):
        assert policy.space is pk.Serial
    pk.set_default_space(space)
    assert pk.get_default_space() is pk.Serial
    assert repr(space) == "<ExecutionSpace.Default>"
    assert "Default" not in pk.ExecutionSpace.__members__


def test_spaces_by_value_and_by_name() -> None:
    assert pk.ExecutionSpace("OpenMP") is pk.ExecutionSpace["OpenMP"] is pk.OpenMP
    assert pk.ExecutionSpace("HIP") is pk.ExecutionSpace.HIP is pk.HIP
    with pytest.raises(ValueError, match="'openmp' is not an execution space: choose Default, Ser"):
        pk.ExecutionSpace("openmp")


def test_an_instance_of_a_space(serial: None) -> None:
    for space in (pk.OpenMP, pk.Default):
        instance = pk.ExecutionSpaceInstance(space)
        expected = pk.Serial if space is pk.Default else space
        assert pk.RangePolicy(instance, 0, 1).space is expected
        assert pk.TeamPolicy(instance, 1, 1).space is expected
        assert pk.MDRangePolicy([0, 0], [1, 1], space=instance).space is expected
    with pytest.raises(SpaceError, match="launches on the default stream .* leave out `stream`"):
        pk.ExecutionSpaceInstance(pk.Cuda, object())


def test_debug_is_refused() -> None:
    for use in (pk.set_default_space, lambda space: pk.RangePolicy(space, 0, 1)):
        with pytest.raises(SpaceError, match=r"pk\.Serial with .* KKSPDNN_DEBUG=1, which checks"):
            use(pk.ExecutionSpace.Debug)
    assert pk.get_default_space() is pk.OpenMP


@pytest.mark.parametrize(
    ("space", "example"), [("cuda", "Cuda"), (None, "OpenMP"), (3, "OpenMP"), (pk.AUTO, "OpenMP")]
)
def test_what_is_not_a_space(space: Any, example: str) -> None:
    match = rf"^set_default_space needs an execution space, such as pk\.{example}, not "
    with pytest.raises(TypeError, match=match):
        pk.set_default_space(space)


# ---- numbers of arguments -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: pk.RangePolicy(3), r"\(begin, end\) or \(space, begin, end\), not 1 arguments"),
        (lambda: pk.RangePolicy(pk.Serial, 3), "not 2 arguments"),
        (lambda: pk.RangePolicy(pk.Serial, 1, 2, 3), "not 4 arguments"),
        (pk.RangePolicy, "not 0 arguments"),
        (lambda: pk.TeamPolicy(3), r"league_size, team_size\[, vector_length\]\), not 1 argum"),
        (lambda: pk.TeamPolicy(pk.Serial, 3, 1, 1, 1), "not 5 arguments"),
        (lambda: pk.TeamPolicy(3, "all"), "team_size must be a whole number, not str"),
    ],
)
def test_a_wrong_number_of_arguments(make: Callable[[], Any], reason: str) -> None:
    with pytest.raises(TypeError, match=reason):
        make()


def test_the_team_size_auto_as_text() -> None:
    assert pk.TeamPolicy(3, "auto", 8).fields == pk.TeamPolicy(3, pk.AUTO, 8).fields
    assert pk.TeamPolicy(np.int64(3), np.int32(2)).fields == (0, 3, 2, 1)


def test_a_scratch_size_is_ignored() -> None:
    policy = pk.TeamPolicy(3, pk.AUTO)
    for size in (pk.PerTeam(pk.ScratchView1D[float].shmem_size(10)), pk.PerThread(8)):
        assert policy.set_scratch_size(0, size) is policy.set_scratch_size(1, size) is policy
    assert pk.ScratchView2D[pk.double].shmem_size(3, 4) == 96
    with pytest.raises(ValueError, match="level 2: Kokkos has 0 and 1"):
        policy.set_scratch_size(2, pk.PerTeam(8))


def test_policies_print_as_they_are_written() -> None:
    assert repr(pk.RangePolicy(1, 2)) == "RangePolicy(pk.OpenMP, 1, 2)"
    assert repr(pk.TeamPolicy(pk.Cuda, 4, pk.AUTO, 8)) == "TeamPolicy(pk.Cuda, 4, pk.AUTO, 8)"
    policy = pk.MDRangePolicy([0, 1], [5, 6], space=pk.Serial)
    assert repr(policy) == "MDRangePolicy([0, 1], [5, 6], [0, 0], pk.Serial)"
