"""The extents of scratch views are checked before a launch."""

from __future__ import annotations

import numpy as np
import pykokkos as pk
import pytest

from kkspdnn.errors import InputError
from kkspdnn.pk.compiler import generate
from kkspdnn.pk.policy import ExecutionSpace


@pk.workunit
def scratch_sum(m: pk.TeamMember, n: int, k: int, out: pk.View1D[pk.double]):
    a: pk.ScratchView2D[pk.double] = pk.ScratchView2D(m.team_scratch(0), n, k)
    b: pk.ScratchView1D[pk.float] = pk.ScratchView1D(m.thread_scratch(1), n - 1)
    if n > 1 and k > 0:
        a[n - 1][k - 1] = 2.0
        b[n - 2] = 1.0
        out[m.league_rank()] = a[n - 1][k - 1] + b[n - 2]


@pk.workunit
def no_scratch(m: pk.TeamMember, out: pk.View1D[pk.double]):
    out[m.league_rank()] = 1.0


def launch(space: ExecutionSpace, n: int, k: int) -> list[float]:
    out = np.zeros(2)
    pk.parallel_for("w", pk.TeamPolicy(space, 2, 1), scratch_sum, n=n, k=k, out=out)
    return out.tolist()


AT_MOST = "those of a team have at most 1000000000 bytes"


@pytest.mark.parametrize(
    ("n", "k", "reason"),
    [
        (-3, 2, "scratch view a with the extents -3, 2: extents are 0 or more"),
        (0, 2, "scratch view b with the extents -1: extents are 0 or more"),
        (
            2**31 - 1,
            2**31 - 1,
            f"scratch view a with the extents 2147483647, 2147483647: {AT_MOST}",
        ),
        (300_000_000, 0, f"scratch view b with the extents 299999999: {AT_MOST}"),
        (100_000_000, 1, f"scratch view b with the extents 99999999: {AT_MOST}"),
    ],
)
def test_scratch_views_that_cannot_be_allocated(
    space: ExecutionSpace, n: int, k: int, reason: str
) -> None:
    with pytest.raises(InputError) as caught:
        launch(space, n, k)
    assert isinstance(caught.value, ValueError)
    assert str(caught.value) == f"scratch_sum: {reason}"
    assert launch(space, 3, 2) == [3, 3]


def test_empty_scratch_views(space: ExecutionSpace) -> None:
    assert launch(space, 1, 0) == [0, 0]


def test_a_workunit_without_scratch_views_has_no_check() -> None:
    assert "_check_scratch" in generate(scratch_sum, pk.Serial).text
    text = generate(no_scratch, pk.Serial).text
    assert "_scratch(" not in text
    assert "_scratch " not in text
    assert "set_scratch_size" not in text
    assert "#include <string>" not in text
