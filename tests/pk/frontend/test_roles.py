"""The roles of a workunit's first parameters, by annotation and by launch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pykokkos as pk
import pytest
from ir_of_source import Load, source_of

from kkspdnn.pk.signature import Form

POLICY = pk.RangePolicy(pk.OpenMP, 0, 10)
TEAMS = pk.TeamPolicy(pk.OpenMP, 3, 1)


def test_a_work_item_without_annotation(load: Load) -> None:
    w = load(source_of("x[i] = i", "i, x")).w
    assert w.roles.form == Form("for", 1)
    assert w.generic == ("x",)
    assert w.in_form(Form("for", 1)) is w
    x = np.zeros(10)
    pk.parallel_for("w", POLICY, w, x=x)
    np.testing.assert_array_equal(x, np.arange(10))


def test_an_accumulator_without_annotation_is_a_double(load: Load) -> None:
    w = load(source_of("acc += 0.5 * x[i]", "i, acc, x")).w
    x = np.arange(10, dtype=np.int32)
    result = pk.parallel_reduce("w", POLICY, w, x=x)
    assert (result, type(result)) == (22.5, float)


@pytest.mark.parametrize("parameters", ["i, acc, last, x", "i, acc: pk.Acc[float], last: bool, x"])
def test_a_scan(load: Load, parameters: str) -> None:
    w = load(source_of("acc += x[i]\nif last:\n    x[i] = acc", parameters)).w
    x = np.arange(10.0)
    assert pk.parallel_scan("w", POLICY, w, x=x) == 45
    np.testing.assert_array_equal(x, np.cumsum(np.arange(10)))


@pytest.mark.parametrize("parameters", ["m, acc, n", "m: pk.TeamMember, acc, n: int"])
def test_a_team(load: Load, parameters: str) -> None:
    w = load(source_of("acc += n * m.league_rank()", parameters)).w
    assert pk.parallel_reduce("w", TEAMS, w, n=2) == 6


def test_one_workunit_in_several_forms(load: Load) -> None:
    """The same parameter is an argument in one launch and an accumulator in another one."""
    w = load(source_of("a += 1", "i, a, n")).w
    assert pk.parallel_reduce("w", POLICY, w, n=1) == 10
    assert pk.parallel_scan("w", POLICY, w) == 10
    forms = [w.in_form(Form(pattern, 1)) for pattern in ("for", "reduce", "scan")]
    assert [each.generic for each in forms] == [("a", "n"), ("n",), ()]
    assert forms[1] is w.in_form(Form("reduce", 1))


CONTRADICTIONS: dict[str, tuple[Any, Any, str]] = {
    "i: int, acc: pk.Acc[float]": ("for", POLICY, "reduce workunit, not a pk.parallel_for one"),
    "i: int, x: float": ("reduce", POLICY, "for workunit, not a pk.parallel_reduce one"),
    "i: int": ("reduce", POLICY, "for workunit, not a pk.parallel_reduce one"),
    "i: int, acc: pk.Acc[float], x: float": (
        "scan",
        POLICY,
        "reduce workunit, not a pk.parallel_s",
    ),
    "i: int, a: pk.Acc[float], last: bool": (
        "reduce",
        POLICY,
        "scan workunit, not a pk.parallel_r",
    ),
    "m: pk.TeamMember": ("for", POLICY, "takes a team: launch it with a TeamPolicy"),
    "i: int, ": ("for", TEAMS, "takes an index: launch it with a RangePolicy"),
    "i: pk.int64": ("for", TEAMS, "takes an index: launch it with a RangePolicy"),
}


@pytest.mark.parametrize("parameters", CONTRADICTIONS)
def test_a_launch_that_contradicts_an_annotation(load: Load, parameters: str) -> None:
    pattern, policy, message = CONTRADICTIONS[parameters]
    w = load(source_of("pass", parameters)).w
    with pytest.raises(TypeError, match=rf"^w .*{message}"):
        getattr(pk, f"parallel_{pattern}")("w", policy, w)


@pytest.mark.parametrize("name", ["float32", "float64", "real"])
def test_other_names_of_types(load: Load, name: str) -> None:
    body = f"z: pk.{name} = 0.1\nx[i] = z"
    w = load(source_of(body, f"i: int, x: pk.View1D[pk.{name}]")).w
    x = np.zeros(10, getattr(pk, name).np_equiv)
    pk.parallel_for("w", POLICY, w, x=x)
    assert (x == x.dtype.type(0.1)).all()
