"""Launch sequences: fixed and changing arguments, errors, other modules of PyKokkos, debug mode."""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import kernels
import numpy as np
import pykokkos as pk
import pytest

from kkspdnn import pk as own_pk
from kkspdnn.errors import InputError, OutOfBoundsError
from kkspdnn.pk.dispatch import trace_launches
from kkspdnn.pk.launch_sequence import Launch, LaunchSequence
from kkspdnn.pk.prepared_launch import PreparedLaunch
from kkspdnn.pk.runtime.kokkos_runtime import Runtime, get_runtime

POLICY = pk.RangePolicy(pk.Serial, 0, 1)
NUMBERS = "abcdefghrsnx"


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The labels of native calls, which grow with each of them."""
    called: list[str] = []
    real = Runtime.launch

    def launch(runtime: Runtime, function: Any, label: bytes, *given: Any) -> bool:
        called.append(label.decode())
        return real(runtime, function, label, *given)

    monkeypatch.setattr(Runtime, "launch", launch)
    return called


def every_number(changing: str, **changed: Any) -> Launch:
    """A launch of `every_number`; `changing` are the names of the changing numbers."""
    fixed = dict(zip(NUMBERS, range(1, 13), strict=True))
    arguments: dict[str, Any] = {"flag": True, **fixed, **changed}
    arguments = {name: value for name, value in arguments.items() if name not in changing}
    names = {name: f"value of {name}" for name in changing}
    return Launch("number", POLICY, kernels.every_number, arguments, names)


def generic(**changing: str) -> Launch:
    """A launch of y = 2 x * scale with scale = 3; `changing` has the names of x and y."""
    return Launch("generic", POLICY, kernels.generic, {"scale": 3}, changing)


def test_all_launches_are_one_native_call(labels: list[str]) -> None:
    """Each of the later launches reads what those before it have written."""
    between, end = np.zeros(1), np.zeros(1)
    first = Launch("a", POLICY, kernels.generic, {"scale": 3, "y": between}, {"x": "x"})
    second = Launch("b", POLICY, kernels.generic, {"scale": 5, "x": between, "y": end}, {})
    third = Launch("c", POLICY, kernels.generic, {"scale": 7, "x": end}, {"y": "out"})
    sequence = LaunchSequence("all", [first, second, third], ("x", "out"))
    for number in range(4):
        out = np.zeros(2)
        sequence(pk, np.full(3, number, np.float64), out)
        assert out.tolist() == [2 * 3 * 2 * 5 * 2 * 7 * number, 0]
    assert labels == ["a", "b", "c", "all", "all", "all"]


def test_changing_numbers_of_all_types() -> None:
    """Between fixed ones, in any order, also all and none of them."""
    for changing in ("a", "ce", "fx", NUMBERS, "xa", ""):
        wide, last, real = np.zeros(9, np.int64), np.zeros(1, np.uint64), np.zeros(3)
        launch = every_number(changing, wide=wide, last=last, real=real)
        sequence = LaunchSequence("all", [launch], [f"value of {name}" for name in changing])
        for factor in (1, 3, 2):
            expected = dict(zip(NUMBERS, range(1, 13), strict=True))
            new = {name: factor * expected[name] for name in changing}
            sequence(pk, *new.values())
            expected |= new
            assert wide.tolist() == [expected[each] for each in "abcdefgn"] + [1]
            assert [*last, *real] == [expected[each] for each in "hrsx"]


def test_a_value_for_several_arguments() -> None:
    launches = [generic(x="x", y="y"), generic(x="y", y="z")]
    sequence = LaunchSequence("all", launches, ("z", "x", "y"))
    for number in range(3):
        x, y, z = np.full(1, number, np.float32), np.zeros(1, np.float32), np.zeros(1, np.float32)
        sequence(pk, z, x, y)
        assert (y[0], z[0]) == (6 * number, 36 * number)


def test_arrays_of_other_sizes() -> None:
    launch = Launch("w", POLICY, kernels.extents, {}, {"a": "a", "out": "out"})
    sequence = LaunchSequence("all", [launch], ("a", "out"))
    for shape in ((2, 3, 4), (5, 1, 2), (2, 3, 4), (1, 70, 7), (3, 0, 2)):
        out = np.zeros(3, np.int64)
        sequence(pk, np.zeros(shape, np.float32), out)
        assert tuple(out) == shape


def test_views_and_arrays_that_are_read_only() -> None:
    sequence = LaunchSequence("all", [generic(x="x", y="y")], ("x", "y"))
    for number in range(3):
        x, y = np.full(2, number, np.float64), pk.View([2])
        x.flags.writeable = False
        sequence(pk, x, y)
        assert y.data.tolist() == [6 * number, 0]


def test_a_fixed_view_keeps_its_array() -> None:
    x, y = pk.View([1]), np.zeros(1)
    launch = Launch("w", POLICY, kernels.generic, {"x": x, "scale": 3}, {"y": "y"})
    sequence = LaunchSequence("all", [launch], ("y",))
    x.fill(1.0)
    x.data = np.full(1, 7.0)
    for _ in range(2):
        y[0] = 0
        sequence(pk, y)
        assert y[0] == 6


def test_a_changing_array_is_not_kept() -> None:
    sequence = LaunchSequence("all", [generic(x="x", y="y")], ("x", "y"))
    for _ in range(3):
        x = np.ones(1)
        freed = weakref.ref(x)
        sequence(pk, x, np.zeros(1))
        del x
        gc.collect()
        assert freed() is None


WRONG = [
    ("c", 2**31, "`c` = 2147483648 does not fit int32"),
    ("c", 1.5, "`c` must be a whole number, not float"),
    ("x", "1", "`x` must be a number, not str"),
    ("flag", 1, "`flag` must be a bool, not int"),
    ("wide", np.zeros(9, np.int32), "`wide` must be 1-dimensional int64, not 1-dimensional int32"),
    ("wide", np.zeros((3, 3), np.int64), "`wide` must be 1-dimensional int64, not 2-dimensional"),
    ("wide", np.zeros(18, np.int64)[::2], "`wide` is not C-contiguous"),
    ("wide", [0] * 9, "`wide` must be a NumPy array, not list"),
]


@pytest.mark.parametrize(("name", "value", "reason"), WRONG)
def test_wrong_arguments(name: str, value: Any, reason: str) -> None:
    """In the first call, and in later ones, after which calls are as before."""
    fixed = {"last": np.zeros(1, np.uint64), "real": np.zeros(3)}
    numbers = dict(zip(NUMBERS, range(1, 13), strict=True))
    right: dict[str, Any] = {"c": 7, "x": 2.5, "flag": False, "wide": np.zeros(9, np.int64)}
    fixed_numbers = {n: v for n, v in numbers.items() if n not in right}
    names = {each: each for each in right}
    launch = Launch("w", POLICY, kernels.every_number, {**fixed, **fixed_numbers}, names)
    sequence = LaunchSequence("all", [launch], tuple(right))
    for _ in range(3):
        with pytest.raises(TypeError, match=f"every_number: argument {reason}"):
            sequence(pk, *{**right, name: value}.values())
        for _ in range(2):
            right["wide"][2] = 0
            sequence(pk, *right.values())
            assert right["wide"][2] == 7


def test_other_types_of_arguments_without_annotation() -> None:
    """They are those of another specialization."""
    launch = Launch("w", POLICY, kernels.generic, {}, {"x": "x", "y": "y", "scale": "scale"})
    sequence = LaunchSequence("all", [launch], ("x", "y", "scale"))
    types = (np.float32, 3), (np.float64, 3), (np.float32, 3)
    for (dtype, scale), _ in itertools.product(types, range(2)):
        y = np.zeros(1, dtype)
        sequence(pk, np.full(1, 2, dtype), y, scale)
        assert y[0] == 4 * scale


def test_a_wrong_number_of_values() -> None:
    sequence = LaunchSequence("all", [generic(x="x", y="y")], ("x", "y"))
    with pytest.raises(ValueError, match="shorter"):
        sequence(pk, np.zeros(1))


def test_a_launch_that_is_refused_is_named() -> None:
    """A team that is too large, in the second launch."""
    x, out = np.ones((1, 2)), np.zeros((1, 3))
    counts = np.zeros(1, np.int64)
    arguments = {"x": x, "out": out, "counts": counts}
    launches = [
        Launch("w", pk.TeamPolicy(pk.Serial, 1, size), kernels.team_sums, arguments, {})
        for size in (1, 4096)
    ]
    for _ in range(2):
        with pytest.raises(ValueError, match="team_size = 4096, but Serial supports"):
            LaunchSequence("all", launches)(pk)


SCRATCH = """
import pykokkos as pk


@pk.workunit
def with_scratch(m: pk.TeamMember, x: pk.View1D[pk.double], n: int):
    s: pk.ScratchView1D[pk.double] = pk.ScratchView1D(m.team_scratch(0), n)
    s[0] = x[0]
    x[0] = s[0] + 1.0
"""


def test_an_error_of_a_later_call_is_raised(load: Callable[..., Any]) -> None:
    """The launches after it are not made."""
    x, after = np.zeros(1), np.zeros(1)
    policy = pk.TeamPolicy(pk.Serial, 1, 1)
    failing = Launch("w", policy, load(SCRATCH).with_scratch, {"x": x}, {"n": "n"})
    copy = Launch("copy", POLICY, kernels.generic, {"x": x, "y": after, "scale": 1}, {})
    sequence = LaunchSequence("all", [copy, failing, copy], ("n",))
    for number in range(1, 3):
        sequence(pk, 4)
        assert (x[0], after[0]) == (2 * number - 1, 2 * (2 * number - 1))
        with pytest.raises(InputError, match="^with_scratch: "):
            sequence(pk, -1)
        assert (x[0], after[0]) == (2 * number - 1, 2 * (2 * number - 1))
        sequence(pk, 4)
        assert x[0] == 2 * number


def test_a_failed_native_call(monkeypatch: pytest.MonkeyPatch) -> None:
    sequence = LaunchSequence("all", [generic(x="x", y="y")], ("x", "y"))
    sequence(pk, np.zeros(1), np.zeros(1))
    started = get_runtime(pk.Serial)
    monkeypatch.setattr(started, "launch", lambda *_: False)
    monkeypatch.setattr(started, "error_line", lambda: "no memory")
    with pytest.raises(RuntimeError, match="^generic: no memory"):
        sequence(pk, np.zeros(1), np.zeros(1))


def test_another_module_gets_launch_by_launch(labels: list[str]) -> None:
    """As the real PyKokkos does, in each call."""
    made: list[Any] = []
    other: Any = SimpleNamespace(parallel_for=lambda *given, **named: made.append((given, named)))
    x = np.zeros(1)
    second = Launch("second", "policy", kernels.dot, {"x": x}, {"y": "out"})
    first = Launch("first", "other policy", kernels.generic, {"scale": 3}, {"x": "x", "y": "out"})
    sequence = LaunchSequence("all", [first, second], ("x", "out"))
    for number in range(3):
        sequence(other, number, -number)
        assert made == [
            (
                ("first", "other policy", kernels.generic),
                {"scale": 3, "x": number, "y": -number},
            ),
            (("second", "policy", kernels.dot), {"x": x, "y": -number}),
        ]
        made.clear()
    assert not labels


def test_launches_are_traced_and_not_made() -> None:
    x, y = np.ones(1), np.zeros(1, np.float64)
    launches = [generic(x="x", y="y"), every_number("", wide=np.zeros(9, np.int64),
                last=np.zeros(1, np.uint64), real=np.zeros(3))]  # fmt: skip
    sequence = LaunchSequence("all", launches, ("x", "y"))
    for _ in range(2):
        y[0] = 0
        traced = trace_launches(lambda: sequence(pk, x, y))
        assert [each[0] for each in traced] == [kernels.generic, kernels.every_number]
        assert y[0] == 0
        for _ in range(2):
            sequence(pk, x, y)
            assert y[0] == 6


COPY = """
import pykokkos as pk


@pk.workunit
def copy_one(i: int, x: pk.View1D[pk.double], y: pk.View1D[pk.double]):
    y[i] = x[i]
"""


@pytest.mark.usefixtures("debug_mode_on")
def test_debug_mode_makes_one_launch_after_the_other(
    load: Callable[..., Any], labels: list[str]
) -> None:
    launch = Launch("copy", POLICY, load(COPY).copy_one, {}, {"x": "x", "y": "y"})
    sequence = LaunchSequence("all", [launch] * 2, ("x", "y"))
    y = np.zeros(1)
    for number in range(1, 3):
        sequence(pk, np.full(1, number, np.float64), y)
        assert y[0] == number
    assert labels == ["copy"] * 4
    with pytest.raises(OutOfBoundsError, match="of x, which has extent 0"):
        sequence(pk, np.ones(0), y)


def test_calls_are_recorded_by_label() -> None:
    sequence = LaunchSequence("all", [generic(x="x", y="y")] * 2, ("x", "y"))
    x, y = np.ones(1), np.zeros(1)
    with own_pk.time_launches() as recorder:
        sequence(pk, x, y)
        assert {each.label: each.count for each in recorder.times} == {"generic": 2}
        sequence(pk, x, y)
        sequence(pk, x, y)
    sequence(pk, x, y)
    assert {each.label: each.count for each in recorder.times} == {"generic": 2, "all": 2}


def test_prepared_launches_in_a_sequence() -> None:
    prepared = PreparedLaunch("w", kernels.generic, {"scale": 3}, ("y", "x"))
    x, between, y = np.ones(1), np.zeros(1), np.zeros(1)
    launches = [
        prepared.with_values(POLICY, between, x),
        prepared.with_values(POLICY, y, between),
    ]
    sequence = LaunchSequence("all", launches)
    for number in range(3):
        x[0] = number
        sequence(pk)
        assert y[0] == 36 * number


class BusyMonitor:
    """Asks for a single thread in every second launch."""

    due = 0.0

    def __init__(self) -> None:
        self.calls = 0

    def prefers_single_thread(self) -> bool:
        self.calls += 1
        return self.calls % 2 == 0


THREADS = """
import pykokkos as pk


@pk.workunit
def count(m: pk.TeamMember, x: pk.View1D[pk.double], size: pk.View1D[pk.int64]):
    if m.team_rank() == 0:
        x[m.league_rank()] += 1.0
    size[m.league_rank()] = m.team_size()
"""


@pytest.mark.parametrize("team_size", [1, 2])
def test_a_single_thread_makes_all_launches(
    load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, team_size: int
) -> None:
    """If other processes use the cores, unless a team has several threads."""
    started = get_runtime(pk.OpenMP)
    if not started._functions.kkspdnn_can_run_alone():
        pytest.skip("this Kokkos or this number of threads has no launches with fewer threads")
    count = load(THREADS).count
    x, size = np.zeros(100), np.zeros(100, np.int64)
    arguments = {"x": x, "size": size}
    launches = [
        Launch("w", pk.TeamPolicy(pk.OpenMP, 100, own_size), count, arguments, {})
        for own_size in (1, team_size)
    ]
    sequence = LaunchSequence("all", launches)
    sequence(pk)
    monitor, alone = BusyMonitor(), list[int]()
    real = started._run
    monkeypatch.setattr(started, "_load_monitor", monitor)
    monkeypatch.setattr(started, "_run", lambda *given: alone.append(given[3]) or real(*given))
    for _ in range(4):
        sequence(pk)
    assert alone == ([0, 1, 0, 1] if team_size == 1 else [0] * 4)
    assert (x == 10).all()
    assert (size == team_size).all()


def test_serial_sequences_do_not_ask_for_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    sequence = LaunchSequence("all", [generic(x="x", y="y")], ("x", "y"))
    sequence(pk, np.zeros(1), np.zeros(1))
    monitor = BusyMonitor()
    monkeypatch.setattr(get_runtime(pk.Serial), "_load_monitor", monitor)
    sequence(pk, np.zeros(1), np.zeros(1))
    assert monitor.calls == 0
