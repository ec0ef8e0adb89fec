"""Execution spaces that only PyKokkos or Kokkos has."""

from __future__ import annotations

import pykokkos as pk
import pytest

from kkspdnn.errors import SpaceError


@pytest.mark.parametrize("name", ["HIP", "SYCL", "Threads", "OpenMPTarget", "OpenACC", "HPX"])
def test_policies_refuse_the_other_spaces_of_pykokkos(name: str) -> None:
    """Naming one is allowed: scripts for several machines do."""
    words = rf"pk\.{name}: kkspdnn does not run on .* choose one of pk\.Serial, pk\.OpenMP, pk\.Cu"
    for space in (getattr(pk, name), getattr(pk.ExecutionSpace, name)):
        with pytest.raises(SpaceError, match=words):
            pk.RangePolicy(space, 0, 3)
        with pytest.raises(SpaceError, match=words):
            pk.TeamPolicy(space, 1, pk.AUTO)
    assert name not in pk.ExecutionSpace.__members__


def test_names_that_nobody_has() -> None:
    for place in (pk, pk.ExecutionSpace):
        with pytest.raises(AttributeError, match="Abacus"):
            place.Abacus
