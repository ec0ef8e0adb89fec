"""Later launches of a workunit check and pack their arguments like the first one, but faster."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import kernels
import numpy as np
import pykokkos as pk
import pytest
from test_arguments import arguments, extents_of, launch

from kkspdnn.pk import dispatch
from kkspdnn.pk.frontend.workunit import Workunit

POLICY = pk.RangePolicy(pk.Serial, 0, 1)


@pytest.fixture
def is_fast(monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """A function that returns whether the launches since its last call were all fast ones."""
    checked: list[Any] = []
    real = dispatch.pack_launch

    def pack_launch(*given: Any) -> Any:
        checked.append(given)
        return real(*given)

    def is_fast() -> bool:
        fast = not checked
        checked.clear()
        return fast

    monkeypatch.setattr(dispatch, "pack_launch", pack_launch)
    return is_fast


def test_a_launch_with_the_same_classes_and_other_values_is_fast(
    is_fast: Callable[[], bool],
) -> None:
    launch()
    is_fast()
    wide, last, real = np.zeros(12, np.int64), np.zeros(2, np.uint64), np.zeros(5)
    launch(wide=wide, last=last, real=real, a=-7, n=2**31 - 1, h=2**64 - 1, r=3, flag=False)
    assert is_fast()
    assert (wide[0], wide[7], wide[8], last[0], real[0]) == (-7, 2**31 - 1, 0, 2**64 - 1, 3)


@pytest.mark.parametrize("changed", [{"x": 0.5}, {"r": np.float32(0.5)}, {"n": np.int32(4)}])
def test_other_classes_are_checked_once(
    changed: dict[str, Any], is_fast: Callable[[], bool]
) -> None:
    launch()
    fast = []
    for _ in range(3):
        real = np.zeros(3)
        launch(real=real, **changed)
        fast.append(is_fast())
    assert fast == [False, True, True]
    assert real[2 if "x" in changed else 0] == changed.get("x", changed.get("r", 1))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"n": 2**31}, "`n` = 2147483648 does not fit int32"),
        ({"e": -1}, "`e` = -1 does not fit uint8"),
        ({"h": 2**64}, "`h` = 18446744073709551616 does not fit uint64"),
        ({"n": True}, "`n` must be a whole number, not bool"),
        ({"n": 1.0}, "`n` must be a whole number, not float"),
        ({"r": 10**400}, "`r` is too large for float"),
        ({"wide": np.zeros(9, np.int32)}, "`wide` must be 1-dimensional int64, not .* int32"),
        ({"wide": np.zeros((3, 3), np.int64)}, "`wide` must be 1-dimensional int64, not 2-dim"),
        ({"wide": np.zeros(18, np.int64)[::2]}, "`wide` is not C-contiguous"),
        ({"real": np.zeros(25, np.uint8)[1:].view(np.float64)}, "`real` is not aligned"),
        ({"rael": np.zeros(3)}, "has no argument `rael`"),
    ],
)
def test_a_wrong_argument_after_a_launch(changed: dict[str, Any], reason: str) -> None:
    launch()
    with pytest.raises(TypeError, match=f"every_number:? (argument )?{reason}"):
        launch(**changed)
    launch()


def test_a_missing_argument_after_a_launch() -> None:
    launch()
    given = arguments()
    del given["real"]
    with pytest.raises(TypeError, match="argument `real` is missing"):
        pk.parallel_for("w", POLICY, kernels.every_number, **given)
    with pytest.raises(TypeError, match="argument `real` is missing"):
        pk.parallel_for("w", POLICY, kernels.every_number, **given, rael=np.zeros(3))


def test_two_wrong_ranks_with_the_right_total() -> None:
    """They have as many fields as two right ones."""
    extents_of(np.zeros((2, 3, 4), np.float32), np.zeros(3, np.int64))
    with pytest.raises(TypeError, match="`a` must be 3-dimensional float32, not 1-dimensional"):
        extents_of(np.zeros(3, np.float32), np.zeros((1, 1, 3), np.int64))


def test_arrays_that_changed_in_place(is_fast: Callable[[], bool]) -> None:
    """The same object has another shape, address, dtype, or may not be written to."""
    a, out = np.zeros((2, 3, 4), np.float32), np.zeros(3, np.int64)
    extents_of(a, out)
    is_fast()
    for shape in ((5, 100, 1000), (7, 1, 2), (5, 100, 1000)):
        a.resize(shape, refcheck=False)
        extents_of(a, out)
        assert is_fast()
        assert out.tolist() == list(shape)
    a.resize(8, refcheck=False)
    with pytest.raises(TypeError, match="`a` must be 3-dimensional float32, not 1-dimensional"):
        extents_of(a, out)
    a = np.zeros((2, 3, 4), np.float32)
    out.flags.writeable = False
    with pytest.raises(TypeError, match="`out` is written by the workunit but is read-only"):
        extents_of(a, out)
    out.flags.writeable = True
    extents_of(a, out)


def test_arrays_are_not_kept() -> None:
    """A launch with an array at the address of a freed one reads its own shape."""
    out = np.zeros(3, np.int64)
    for rows in range(1, 50):
        extents_of(np.zeros((rows, 2, 2), np.float32), out)
        assert out[0] == rows


def test_read_only_and_empty_arrays_are_fast(is_fast: Callable[[], bool]) -> None:
    out = np.zeros(3, np.int64)
    extents_of(np.zeros((2, 3, 4), np.float32), out)
    is_fast()
    for shape in ((2, 3, 4), (0, 3, 4), (2, 3, 4)):
        a = np.zeros(shape, np.float32)
        a.flags.writeable = False
        extents_of(a, out)
        assert out.tolist() == list(shape)
    assert is_fast()


# ---- parameters without annotation --------------------------------------------------------------


def generic(x: Any, y: Any, scale: Any) -> Any:
    pk.parallel_for("w", POLICY, kernels.generic, x=x, y=y, scale=scale)
    return y[0]


def types_of_last(workunit: Workunit) -> list[str]:
    last = workunit.last
    assert last is not None
    types = {id(program): types for (_, types), program in workunit.programs.items()}
    return [getattr(each, "element", each).name for each in types[id(last[3])]]


@pytest.mark.parametrize(
    ("dtype", "scale", "names"),
    [
        (np.float64, 0.5, ["double", "double", "double"]),
        (np.float32, 0.5, ["float", "float", "double"]),
        (np.float32, np.float32(0.5), ["float", "float", "float"]),
        (np.float64, 3, ["double", "double", "int32"]),
        (np.float64, 2**31, ["double", "double", "int64"]),
        (np.float64, -(2**31), ["double", "double", "int64"]),
        (np.float64, np.int32(3), ["double", "double", "int32"]),
    ],
)
def test_each_launch_has_the_types_of_its_arguments(
    dtype: Any, scale: Any, names: list[str]
) -> None:
    """Whichever launch was before it."""
    for before in (1.0, 1, 2**40, np.float32(1)):
        generic(np.ones(1), np.zeros(1), before)
        assert generic(np.full(1, 3, dtype), np.zeros(1, dtype), scale) == dtype(6 * scale)
        assert types_of_last(kernels.generic) == names


def test_the_space_of_each_launch() -> None:
    for space in (pk.Serial, pk.OpenMP, pk.Serial):
        x = np.ones(4)
        policy = pk.RangePolicy(space, 0, 4)
        assert pk.parallel_reduce("w", policy, kernels.dot, x=x, y=x) == 4
        assert kernels.dot.last[2] is space


def test_a_wrong_pattern_after_a_launch() -> None:
    x = np.ones(1)
    assert pk.parallel_reduce("w", POLICY, kernels.dot, x=x, y=x) == 1
    with pytest.raises(TypeError, match=r"is a pk\.parallel_reduce workunit, not a pk\.parallel_f"):
        pk.parallel_for("w", POLICY, kernels.dot, x=x, y=x)


@pytest.mark.parametrize("space", [pk.Serial, pk.OpenMP])
def test_a_team_that_is_too_large_after_a_launch(space: Any) -> None:
    x = np.ones((1, 1))
    for size in (pk.AUTO, 1):
        policy = pk.TeamPolicy(space, 1, size)
        assert pk.parallel_reduce("w", policy, kernels.team_reduction, x=x) == 1
    for _ in range(2):
        policy = pk.TeamPolicy(space, 1, 4096)
        with pytest.raises(ValueError, match="team_size = 4096, but"):
            pk.parallel_reduce("w", policy, kernels.team_reduction, x=x)


def test_an_error_of_a_launch_is_raised_once(monkeypatch: pytest.MonkeyPatch) -> None:
    launch()
    calls = []

    def fail(*given: Any) -> bool:
        calls.append(given)
        return False

    program = kernels.every_number.last[3]
    monkeypatch.setattr(program.runtime, "launch", fail)
    monkeypatch.setattr(program.runtime, "error_line", lambda: "no memory")
    with pytest.raises(RuntimeError, match="^every_number: no memory"):
        launch()
    assert len(calls) == 1


def test_threads_with_different_arrays() -> None:
    def run(number: int) -> bool:
        dtype = (np.float32, np.float64)[number % 2]
        x = np.full(1, number, dtype)
        return all(generic(x, np.zeros(1, dtype), dtype(k)) == 2 * number * k for k in range(30))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(run, range(40)))


def test_workunit_parameters_may_have_the_names_of_those_of_a_launch(
    load: Callable[..., Any],
) -> None:
    module = load(
        "import pykokkos as pk\n\n\n@pk.workunit\n"
        "def fill(i: int, label: pk.View1D[pk.int32], policy: int, workunit: int):\n"
        "    label[i] = policy + workunit\n"
    )
    x = np.zeros(1, np.int32)
    pk.parallel_for("w", POLICY, module.fill, label=x, policy=2, workunit=3)
    assert x[0] == 5


@pytest.mark.parametrize("name", ["type", "label", "fields", "plan", "pattern", "a"])
def test_parameters_may_have_the_names_of_those_of_the_packing(
    load: Callable[..., Any], name: str, is_fast: Callable[[], bool]
) -> None:
    module = load(
        "import pykokkos as pk\n\n\n@pk.workunit\n"
        f"def fill(i: int, {name}: pk.View1D[pk.int32], TypeError: int):\n"
        f"    {name}[i] = TypeError\n"
    )
    x = np.zeros(1, np.int32)
    for number in (3, 4):
        pk.parallel_for("w", POLICY, module.fill, **{name: x, "TypeError": number})
        assert x[0] == number
    with pytest.raises(TypeError, match="must be 1-dimensional int32, not 1-dimensional int64"):
        pk.parallel_for("w", POLICY, module.fill, **{name: np.zeros(1, np.int64), "TypeError": 1})


def test_each_form_of_a_launch_is_fast(is_fast: Callable[[], bool]) -> None:
    x = np.ones(1)
    for policies in ((POLICY, pk.RangePolicy(pk.Serial, 0, 1)), (1, pk.RangePolicy(0, 1))):
        pk.parallel_reduce(policies[0], kernels.dot, x=x, y=x)
        is_fast()
        for policy in policies:
            for form in (("w", policy), (policy,), (None, policy)):
                assert pk.parallel_reduce(*form, kernels.dot, x=x, y=x) == 1
                assert is_fast()
            assert pk.parallel_reduce("w", policy, kernels.dot, 0, x=x, y=x) == 1
            assert is_fast()


def test_forms_that_are_refused_after_a_launch() -> None:
    x, y = np.ones(1), np.ones(1)
    pk.parallel_reduce("w", POLICY, kernels.dot, x=x, y=x)
    pk.parallel_for("w", POLICY, kernels.generic, x=x, y=y, scale=1)
    with pytest.raises(TypeError, match="and no int after the workunit"):
        pk.parallel_for("w", POLICY, kernels.generic, 0, x=x, y=y, scale=1)
    with pytest.raises(ValueError, match="begins at 0: add 1 to the result"):
        pk.parallel_reduce("w", POLICY, kernels.dot, 1, x=x, y=x)
    with pytest.raises(TypeError, match="the initial value must be 0, not ndarray"):
        pk.parallel_reduce("w", POLICY, kernels.dot, np.zeros(1), x=x, y=x)
    with pytest.raises(TypeError, match="the label must be a str or None, not b'w'"):
        pk.parallel_reduce(b"w", POLICY, kernels.dot, x=x, y=x)
    for policy in (-1, 2**31):
        with pytest.raises(ValueError, match="RangePolicy end = .* is outside"):
            pk.parallel_reduce("w", policy, kernels.dot, x=x, y=x)
    with pytest.raises(TypeError, match="before the workunit, not True"):
        pk.parallel_reduce("w", True, kernels.dot, x=x, y=x)


def test_ranks_and_patterns_of_the_same_workunit_in_turns(load: Callable[..., Any]) -> None:
    """Each of them has its own program."""
    module = load(
        "import pykokkos as pk\n\n\n@pk.workunit\n"
        "def w(i, j, x):\n    pk.atomic_fetch_add(x, [0], i + 1)\n"
    )
    square = pk.MDRangePolicy([0, 0], [3, 3], space=pk.Serial)
    line = pk.RangePolicy(pk.Serial, 0, 3)
    for _ in range(3):
        x = np.zeros(1, np.int64)
        pk.parallel_for("w", square, module.w, x=x)
        assert x[0] == 18
        pk.parallel_for("w", line, module.w, j=1, x=x)
        assert x[0] == 18 + 6
        pk.parallel_reduce("w", line, module.w, x=x)
        assert x[0] == 18 + 6 + 6


def test_an_error_has_no_other_error_before_it() -> None:
    launch()
    with pytest.raises(TypeError) as caught:
        launch(n=1.5)
    assert caught.value.__context__ is None
