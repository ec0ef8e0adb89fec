"""Launches that pass too few arguments, too many, or one that the launch gives itself."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pykokkos as pk
import pytest
from ir_of_source import Load, source_of

from kkspdnn.pk import dispatch

RANGE = pk.RangePolicy(pk.Serial, 0, 4)
PLANE = pk.MDRangePolicy([0, 0], [2, 2], space=pk.Serial)
TEAMS = pk.TeamPolicy(pk.Serial, 4, 1)
X = np.zeros(4)

CASES: dict[str, tuple[str, str, Any, dict[str, Any]]] = {
    "w: argument `acc` is missing; pk.parallel_for on a RangePolicy gives `i`, all others are "
    "arguments by name": ("i, acc, x", "for", RANGE, {"x": X}),
    "w: argument `y` is missing; pk.parallel_for on an MDRangePolicy of rank 2 gives `i` and `x`, "
    "all others are arguments by name": ("i, x, y", "for", PLANE, {}),
    "w: argument `x` is missing; pk.parallel_reduce on a TeamPolicy gives `m` and the accumulator "
    "`acc`, all others are arguments by name": ("m, acc, x", "reduce", TEAMS, {}),
    "w: argument `x` is missing; pk.parallel_scan on a RangePolicy gives `i`, the accumulator "
    "`acc` and the bool `last`, all others are arguments by name": (
        "i, acc, last, x",
        "scan",
        RANGE,
        {},
    ),
    "w: `x` is the bool of the scan here, not an argument: a workunit for pk.parallel_scan on a "
    "RangePolicy begins with i, acc, last": ("i, acc, x", "scan", RANGE, {"x": X}),
    "w: `x` is the accumulator here, not an argument: a workunit for pk.parallel_reduce on a "
    "RangePolicy begins with i, acc": ("i, x, y", "reduce", RANGE, {"x": X, "y": X}),
    "w: `x` is an index of the work item here, not an argument: a workunit for pk.parallel_for on "
    "an MDRangePolicy of rank 2 begins with i, j": ("i, x", "for", PLANE, {"x": X}),
    "w: `m` is the team here, not an argument: a workunit for pk.parallel_for on a TeamPolicy "
    "begins with m": ("m, x", "for", TEAMS, {"m": 1, "x": X}),
    "w: argument `y` is missing, and there is no parameter `yy`": (
        "i, x, y",
        "for",
        RANGE,
        {"x": X, "yy": X},
    ),
    "w: argument `y` is missing": ("i, x, y: int", "for", RANGE, {"x": X}),
    "w has no argument `z`": ("i, x", "for", RANGE, {"x": X, "z": X}),
}


@pytest.mark.parametrize("message", CASES)
def test_a_wrong_name_is_explained_before_anything_is_compiled(
    load: Load, monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    parameters, pattern, policy, given = CASES[message]
    w = load(source_of("pass", parameters)).w
    monkeypatch.delattr(dispatch, "generate")
    with pytest.raises(TypeError) as caught:
        getattr(pk, f"parallel_{pattern}")(policy, w, **given)
    assert str(caught.value) == message


def test_names_are_explained_after_a_launch_too(load: Load) -> None:
    w = load(source_of("x[i] = n", "i, x, n: int")).w
    x = np.zeros(4)
    pk.parallel_for(RANGE, w, x=x, n=3)
    assert x.tolist() == [3, 3, 3, 3]
    with pytest.raises(TypeError, match="argument `n` is missing, and there is no parameter `m`"):
        pk.parallel_for(RANGE, w, x=x, m=3)
    with pytest.raises(TypeError, match="`i` is an index of the work item here"):
        pk.parallel_for(RANGE, w, i=0, x=x, n=3)


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ("i, x, c=1.0", "default values are not in the workunit language"),
        ("i, x, *, c", r"\*, /, \*args and \*\*kwargs are not in the workunit language"),
    ],
)
def test_a_parameter_that_the_language_does_not_have(
    load: Load, parameters: str, problem: str
) -> None:
    w = load(source_of("x[i] = c", parameters)).w
    for given in ({}, {"c": 2.0}):
        with pytest.raises(pk.WorkunitError, match=problem):
            pk.parallel_for(RANGE, w, x=X, **given)


def test_an_array_of_too_many_dimensions(load: Load) -> None:
    w = load(source_of("pass", "i, x")).w
    for rank, end in ((4, "4 dimensions: merge some of them with reshape"), (0, "0 dimensions: ")):
        with pytest.raises(TypeError, match=re.escape(f"not ndarray of float64 with {end}")):
            pk.parallel_for(RANGE, w, x=np.zeros((1,) * rank))
