"""Prepared launches: fixed and changing arguments, errors, threads, other modules of PyKokkos."""

from __future__ import annotations

import gc
import pickle
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import kernels
import numpy as np
import pykokkos as pk
import pytest

from kkspdnn.pk.dispatch import trace_launches
from kkspdnn.pk.prepared_launch import PreparedLaunch
from kkspdnn.pk.runtime.template import LaunchTemplate

POLICY = pk.RangePolicy(pk.Serial, 0, 1)
CHANGING = "c", "n", "x", "wide", "flag"


def prepared(changing: Any = CHANGING, **changed: Any) -> PreparedLaunch:
    """A prepared launch of every_number, with these fixed arguments."""
    fixed: dict[str, Any] = dict.fromkeys("abcdefghrsnx", 1)
    fixed |= {"flag": True, "wide": np.zeros(9, np.int64)}
    fixed |= {"last": np.zeros(1, np.uint64), "real": np.zeros(3)} | changed
    fixed = {name: value for name, value in fixed.items() if name not in changing}
    return PreparedLaunch("w", kernels.every_number, fixed, changing)


@pytest.fixture
def is_fast(monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """A function that returns whether the last launch used the template."""
    results = [False]
    real = LaunchTemplate.launch

    def launch(*given: Any) -> bool:
        results.append(real(*given))
        return results[-1]

    monkeypatch.setattr(LaunchTemplate, "launch", launch)
    return lambda: results[-1]


def test_fixed_and_changing_arguments(is_fast: Callable[[], bool]) -> None:
    real = np.zeros(3)
    launch = prepared(real=real, s=np.float64(0.1), r=np.float32(0.1))
    for number in range(5):
        wide = np.zeros(9 + number, np.int64)
        launch(pk, POLICY, number, -number, number / 4, wide, number % 2 == 0)
        assert wide[[0, 2, 7, 8]].tolist() == [1, number, -number, number % 2 == 0]
        assert real.tolist() == [np.float32(0.1), 0.1, number / 4]
        assert is_fast() == (number > 0)


def test_the_same_array_again_and_another_one(is_fast: Callable[[], bool]) -> None:
    launch, arrays = prepared(), [np.zeros(9, np.int64), np.zeros(12, np.int64)]
    for number in (0, 0, 1, 1, 0, 1):
        launch(pk, POLICY, 7, 8, 9.0, arrays[number], True)
        assert arrays[number][2] == 7
        arrays[number][2] = 0
    assert is_fast()


def test_a_changing_array_is_not_kept() -> None:
    launch = prepared()
    for _ in range(3):
        wide = np.zeros(9, np.int64)
        freed = weakref.ref(wide)
        launch(pk, POLICY, 7, 8, 9.0, wide, True)
        assert wide[2] == 7
        del wide
        gc.collect()
        assert freed() is None


@pytest.mark.parametrize(
    ("position", "value", "reason"),
    [
        (0, 2**31, "`c` = 2147483648 does not fit int32"),
        (0, True, "`c` must be a whole number, not bool"),
        (1, 1.0, "`n` must be a whole number, not float"),
        (2, "1", "`x` must be a number, not str"),
        (3, np.zeros(9, np.int32), "`wide` must be 1-dimensional int64, not 1-dimensional int32"),
        (3, np.zeros((3, 3), np.int64), "`wide` must be 1-dimensional int64, not 2-dimensional"),
        (3, np.zeros(18, np.int64)[::2], "`wide` is not C-contiguous"),
        (3, np.broadcast_to(np.int64(0), 9), "`wide` is not C-contiguous"),
        (4, 1, "`flag` must be a bool, not int"),
    ],
)
def test_wrong_arguments(position: int, value: Any, reason: str) -> None:
    launch = prepared()
    right = [1, 2, 3.0, np.zeros(9, np.int64), False]
    wrong = [value if i == position else each for i, each in enumerate(right)]
    for _ in range(2):
        with pytest.raises(TypeError, match=f"every_number: argument {reason}"):
            launch(pk, POLICY, *wrong)
        launch(pk, POLICY, *right)
        right[3][2] = 0
        launch(pk, POLICY, *right)
        assert right[3][2] == 1


def test_other_classes_of_numbers() -> None:
    launch = prepared()
    for x in (0.5, 1, np.float32(0.25), 0.5):
        wide = np.zeros(9, np.int64)
        launch(pk, POLICY, np.int64(5), 2, x, wide, np.bool_(True))
        assert wide[2] == 5


def test_a_wrong_number_of_arguments() -> None:
    launch = prepared()
    with pytest.raises(ValueError, match="shorter"):
        launch(pk, POLICY, 1, 2)


def test_another_type_of_a_generic_array() -> None:
    launch = PreparedLaunch("w", kernels.generic, {"scale": 3}, ("x", "y"))
    for dtype in (np.float32, np.float32, np.float64, np.float32):
        y = np.zeros(1, dtype)
        launch(pk, POLICY, np.full(1, 2, dtype), y)
        assert y[0] == 12


TEAM = """
import pykokkos as pk


@pk.workunit
def double(m: pk.TeamMember, x: pk.View2D[pk.double], y: pk.View2D[pk.double]):
    row: int = m.league_rank()

    def element(j: int):
        y[row][j] = 2 * x[row][j]

    pk.parallel_for(pk.TeamThreadRange(m, int(x.extent(1))), element)
"""


def test_another_space_and_too_large_teams(load: Callable[..., Any]) -> None:
    launch = PreparedLaunch("w", load(TEAM).double, {}, ("x", "y"))
    x = np.arange(6.0).reshape(2, 3)
    for space in (pk.Serial, pk.Serial, pk.OpenMP, pk.Serial):
        y = np.zeros((2, 3))
        launch(pk, pk.TeamPolicy(space, 2, 1), x, y)
        assert np.array_equal(2 * x, y)
    with pytest.raises(ValueError, match="team_size = 4096, but Serial supports"):
        launch(pk, pk.TeamPolicy(pk.Serial, 2, 4096), x, y)
    with pytest.raises(TypeError, match="takes a team: launch it with a TeamPolicy"):
        launch(pk, POLICY, x, y)


def test_a_launch_is_traced_and_not_executed() -> None:
    launch, wide = prepared(), np.zeros(9, np.int64)
    for _ in range(2):
        traced = trace_launches(lambda: launch(pk, POLICY, 1, 2, 3.0, wide, True))
        assert [(each[0], each[1]) for each in traced] == [(kernels.every_number, pk.Serial)]
        assert not wide.any()
        launch(pk, POLICY, 1, 2, 3.0, np.zeros(9, np.int64), True)


def test_another_module_gets_all_arguments() -> None:
    made: list[Any] = []
    other = SimpleNamespace(parallel_for=lambda *given, **named: made.append((given, named)))
    launch = PreparedLaunch("name", kernels.generic, {"scale": 3}, ("x", "y"))
    launch(other, "policy", 1, 2)
    launch(other, "policy", 4, 5)
    expected = [{"scale": 3, "x": 1, "y": 2}, {"scale": 3, "x": 4, "y": 5}]
    assert made == [(("name", "policy", kernels.generic), each) for each in expected]


def test_threads_share_a_launch() -> None:
    launch = PreparedLaunch("w", kernels.generic, {"scale": 3}, ("x", "y"))

    def run(number: int) -> bool:
        arrays = [np.full(1 + k % 3, number + k, np.float32) for k in range(3)]
        for k in range(60):
            x, y = arrays[k % 3], np.zeros(3, np.float32)
            launch(pk, POLICY, x, y)
            if y[0] != 6 * x[0]:
                return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(run, range(24)))


def test_a_launch_can_be_pickled() -> None:
    launch = PreparedLaunch("w", len, {"scale": np.arange(3)}, ("x", "y"))  # type: ignore[arg-type]
    label, workunit, fixed, changing = pickle.loads(pickle.dumps(launch)).arguments
    assert (label, workunit, changing) == ("w", len, ("x", "y"))
    assert fixed["scale"].tolist() == [0, 1, 2]


def test_fixed_arguments_before_between_and_after_changing_ones() -> None:
    numbers = dict(zip("abcdefghrsnx", range(1, 13), strict=True))
    for changing in ("a", "ce", "fx", "abcdefghrsnx", "xa", ""):
        wide, last, real = np.zeros(9, np.int64), np.zeros(1, np.uint64), np.zeros(3)
        fixed = {"flag": True, "wide": wide, "last": last, "real": real, **numbers}
        fixed = {name: value for name, value in fixed.items() if name not in changing}
        launch = PreparedLaunch("w", kernels.every_number, fixed, tuple(changing))
        for factor in (1, 3):
            new = {name: factor * numbers[name] for name in changing}
            launch(pk, POLICY, *new.values())
            expected = numbers | new
            assert wide.tolist() == [expected[each] for each in "abcdefgn"] + [1]
            assert [*last, *real] == [expected[each] for each in "hrsx"]
