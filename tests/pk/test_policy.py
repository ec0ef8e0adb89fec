"""Execution spaces that kkspdnn does not support."""

from __future__ import annotations

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
