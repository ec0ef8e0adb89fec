"""The positional arguments of a launch: each form of PyKokkos, and those that are refused."""

from __future__ import annotations

from typing import Any

import kernels
import numpy as np
import pykokkos as pk
import pytest

from kkspdnn.pk.launch_form import read_launch

POLICY = pk.RangePolicy(pk.Serial, 0, 3)
X = np.arange(3.0)


@pytest.mark.parametrize(
    "form",
    [
        ("label", POLICY),
        (None, POLICY),
        (POLICY,),
        (3,),
        ("label", 3),
        (np.int32(3),),
        (None, np.uint8(3)),
    ],
)
def test_a_launch_with_and_without_label(form: tuple[Any, ...]) -> None:
    assert pk.parallel_reduce(*form, kernels.dot, x=X, y=X) == 5.0
    y = np.zeros(3)
    pk.parallel_for(*form, kernels.generic, x=X, y=y, scale=0.5)
    assert y.tolist() == X.tolist()
    longs, before, after = np.arange(3), np.zeros(3, np.int64), np.zeros(3, np.int64)
    views = {"x": longs, "before": before, "after": after}
    assert pk.parallel_scan(*form, kernels.running_sum, **views) == 3
    assert after.tolist() == [0, 1, 3]


def test_the_label_is_the_name_of_the_workunit_if_there_is_none() -> None:
    for form in ((POLICY,), (None, POLICY)):
        assert read_launch("for", (*form, kernels.dot)) == ("dot", POLICY, kernels.dot)
    assert read_launch("for", ("", POLICY, kernels.dot))[0] == ""


def test_an_integer_is_a_range_in_the_default_space() -> None:
    _, policy, _ = read_launch("for", (np.int64(7), kernels.dot))
    assert (policy.space, policy.fields) == (pk.OpenMP, (0, 7, 0, 0))


@pytest.mark.parametrize("zero", [0, 0.0, np.int64(0), np.float32(0), -0.0])
def test_an_initial_value_of_zero(zero: Any) -> None:
    assert pk.parallel_reduce("label", POLICY, kernels.dot, zero, x=X, y=X) == 5.0
    assert pk.parallel_reduce(POLICY, kernels.dot, zero, x=X, y=X) == 5.0


def test_another_initial_value() -> None:
    for form in ((POLICY, kernels.dot, 2.5), ("label", POLICY, kernels.dot, 2.5)):
        with pytest.raises(ValueError, match=r"pk\.parallel_scan begins at 0: add 2\.5 to the res"):
            pk.parallel_scan(*form, x=X, y=X)
    with pytest.raises(ValueError, match="add nan to the result"):
        pk.parallel_reduce(POLICY, kernels.dot, float("nan"), x=X, y=X)
    with pytest.raises(TypeError, match="the initial value must be 0, not list"):
        pk.parallel_reduce(POLICY, kernels.dot, [0], x=X, y=X)


def plain(i: int, x: Any) -> None:
    """A function that is not a workunit."""


TAKES = r"takes \(\[label, \]policy, workunit\) and then the arguments by name, "


@pytest.mark.parametrize(
    ("positional", "reason"),
    [
        ((), TAKES + "and there are none"),
        ((kernels.dot,), TAKES + "not 1 arguments"),
        (("label", POLICY), TAKES + "not 2 arguments"),
        ((POLICY, kernels.dot, X, X), TAKES + "not 4 arguments"),
        (("label", POLICY, kernels.dot, 0, 0), TAKES + "not 5 arguments"),
        ((POLICY, kernels.dot, X), TAKES + "and no ndarray after the workunit"),
        ((POLICY, kernels.dot, 0), TAKES + "and no int after the workunit"),
        ((kernels.dot, POLICY), TAKES + "the policy before the workunit"),
        (("label", kernels.dot, POLICY), TAKES + "the policy before the workunit"),
        ((b"label", POLICY, kernels.dot), TAKES + "and the label must be a str or None, not b'la"),
        ((POLICY, POLICY, kernels.dot), TAKES + "and the label must be a str or None, not Range"),
        ((POLICY, plain), r"not the function plain: write @pk\.workunit above its def"),
        ((POLICY, lambda i, x: None), "not the function <lambda>: write @pk"),
        ((POLICY, kernels.clamp), "clamp is a @pk.function: call it from a workunit"),
        ((POLICY, [kernels.dot]), "one workunit, not a list: launch them one after another"),
        ((POLICY, (kernels.dot,)), "one workunit, not a tuple: launch them one after another"),
        ((POLICY, "dot"), "needs a @pk.workunit, not 'dot'"),
        ((POLICY, POLICY), r"needs a @pk.workunit, not RangePolicy\(pk.Serial, 0, 3\)"),
        ((2.0, kernels.dot), "a number of work items before the workunit, not 2.0"),
        ((True, kernels.dot), "before the workunit, not True"),
        ((pk.Serial, kernels.dot), "needs a RangePolicy, TeamPolicy, .* not <ExecutionSpace.Seri"),
        ((pk.TeamThreadRange, kernels.dot), "needs a RangePolicy, .* not <class 'kkspdnn.pk"),
        ((X, kernels.dot), "before the workunit, not array"),
    ],
)
def test_other_positional_arguments(positional: tuple[Any, ...], reason: str) -> None:
    with pytest.raises(TypeError, match=rf"^pk\.parallel_for .*{reason}") as caught:
        pk.parallel_for(*positional, x=X, y=X)
    assert "\n" not in str(caught.value)


def test_a_policy_by_name() -> None:
    """In PyKokkos, each name is that of an argument of the workunit."""
    with pytest.raises(TypeError, match=TAKES + "and there are none"):
        pk.parallel_for(policy=POLICY, workunit=kernels.dot)


def test_a_negative_number_of_work_items() -> None:
    with pytest.raises(ValueError, match="RangePolicy end = -1 is outside 0 to"):
        pk.parallel_for(-1, kernels.dot, x=X, y=X)


def test_a_nested_range_outside_a_workunit() -> None:
    with pytest.raises(TypeError, match="TeamThreadRange has a meaning only inside a workunit"):
        pk.parallel_for(pk.TeamThreadRange(None, 3), kernels.dot, x=X, y=X)


def test_a_scan_over_several_indices() -> None:
    with pytest.raises(TypeError, match="takes a RangePolicy: a scan over an MDRangePolicy is not"):
        pk.parallel_scan(pk.MDRangePolicy([0, 0], [1, 1]), kernels.sum_2d, x=X)
