"""Times of launches: what is recorded, and that nothing is recorded outside the block."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from kkspdnn import pk
from kkspdnn.pk.prepared_launch import PreparedLaunch
from kkspdnn.pk.runtime.kokkos_runtime import get_runtime
from kkspdnn.pk.runtime.launch_times import (
    LaunchRecorder,
    LaunchTimes,
    LayerTimes,
    TimedLaunch,
    computing_layers,
    is_recording,
    timed,
)

TEXT = """
import pykokkos as pk

@pk.workunit
def fill(i: int, x: pk.View1D[pk.double], value: float):
    x[i] = value

@pk.workunit
def total(i: int, acc: pk.Acc[pk.double], x: pk.View1D[pk.double]):
    acc += x[i]
"""
X = np.zeros(1000)


@pytest.fixture
def units(load: Callable[..., ModuleType]) -> ModuleType:
    return load(TEXT)


@pytest.fixture(params=[pk.Serial, pk.OpenMP], ids=lambda s: s.value)
def policy(request: pytest.FixtureRequest) -> Any:
    return pk.RangePolicy(request.param, 0, X.size)


def counts(recorder: LaunchRecorder) -> dict[str, int]:
    return {each.label: each.count for each in recorder.times}


def test_times_by_label(units: ModuleType, policy: Any) -> None:
    pk.parallel_for("before", policy, units.fill, x=X, value=1.0)
    start = perf_counter()
    with pk.time_launches() as recorder:
        for _ in range(3):
            pk.parallel_for("fill", policy, units.fill, x=X, value=2.0)
        assert pk.parallel_reduce("sum", policy, units.total, x=X) == 2 * X.size
        assert counts(recorder) == {"fill": 3, "sum": 1}
    elapsed = perf_counter() - start
    pk.parallel_for("after", policy, units.fill, x=X, value=1.0)
    assert counts(recorder) == {"fill": 3, "sum": 1}
    assert isinstance(recorder.times, tuple)
    for each in recorder.times:
        assert 0 < each.shortest <= each.mean <= each.longest <= each.total < elapsed
    totals = [each.total for each in recorder.times]
    assert totals == sorted(totals, reverse=True)
    assert sum(totals) < elapsed


def test_a_prepared_launch_is_recorded(units: ModuleType, policy: Any) -> None:
    launch = PreparedLaunch("prepared", units.fill, {"x": X}, ("value",))
    launch(pk, policy, 1.0)
    with pk.time_launches() as recorder:
        launch(pk, policy, 2.0)
        launch(pk, policy, 3.0)
    launch(pk, policy, 4.0)
    assert counts(recorder) == {"prepared": 2}


def test_two_recorders(units: ModuleType, policy: Any) -> None:
    with pk.time_launches() as outer:
        pk.parallel_for("a", policy, units.fill, x=X, value=1.0)
        with pk.time_launches() as inner:
            pk.parallel_for("b", policy, units.fill, x=X, value=1.0)
        pk.parallel_for("c", policy, units.fill, x=X, value=1.0)
    assert counts(outer) == {"a": 1, "b": 1, "c": 1}
    assert counts(inner) == {"b": 1}
    (of_inner,) = inner.times
    assert of_inner in outer.times


def test_an_exception_ends_the_recording(units: ModuleType, policy: Any) -> None:
    with pytest.raises(TypeError), pk.time_launches() as recorder:
        pk.parallel_for("x", policy, units.fill, x=X, value="text")
    pk.parallel_for("fill", policy, units.fill, x=X, value=1.0)
    assert recorder.times == ()


def test_without_a_recorder_a_launch_calls_the_compiled_function(units: ModuleType) -> None:
    runtime = get_runtime(pk.Serial)
    function = runtime._run
    with pk.time_launches():
        assert runtime._run is not function
    assert runtime._run is function
    assert function.__name__ == "kkspdnn_run"


def test_launches_of_several_threads(units: ModuleType, policy: Any) -> None:
    def reduce(number: int) -> None:
        pk.parallel_reduce(f"{number % 4}", policy, units.total, x=X)

    with pk.time_launches() as recorder, ThreadPoolExecutor(4) as pool:
        list(pool.map(reduce, range(100)))
    assert counts(recorder) == dict.fromkeys("0123", 25)


def test_the_device_has_finished_before_and_after_a_launch() -> None:
    """On a GPU a launch returns before its kernel runs."""
    events: list[str] = []

    def launch(label: bytes, fail: bool) -> str:
        events.append("launch")
        if fail:
            raise RuntimeError
        return "result"

    recorder = LaunchRecorder()
    call = timed(launch, lambda label, _: label.decode(), [recorder], lambda: events.append("wait"))
    assert call(b"l", False) == "result"
    assert events == ["wait", "launch", "wait"]
    with pytest.raises(RuntimeError):
        call(b"m", True)
    assert counts(recorder) == {"l": 1}
    assert timed(launch, lambda *_: "", [], None) is launch


def test_sums() -> None:
    recorder = LaunchRecorder()
    for label, seconds in (("a", 1.0), ("b", 5.0), ("a", 3.0)):
        recorder.add(label, seconds)
    first, second = recorder.times
    assert first == LaunchTimes("b", 1, 5.0, 5.0, 5.0)
    assert second == LaunchTimes("a", 2, 4.0, 1.0, 3.0)
    assert second.mean == 2.0


def test_times_by_layer(units: ModuleType, policy: Any) -> None:
    with pk.time_launches() as recorder:
        pk.parallel_for("load", policy, units.fill, x=X, value=1.0)
        for layers, rows in ((range(1, 3), 10), (range(1), 30), (range(1, 3), 5)):
            with computing_layers(layers, rows):
                pk.parallel_for("fill", policy, units.fill, x=X, value=1.0)
                pk.parallel_for("fill", policy, units.fill, x=X, value=1.0)
    assert [(each.layers, each.count, each.rows) for each in recorder.layer_times] == [
        (range(1), 2, 30),
        (range(1, 3), 4, 15),
    ]
    by_label = {each.label: each.total for each in recorder.times}
    by_layer = sum(each.total for each in recorder.layer_times)
    assert by_layer == pytest.approx(by_label["fill"])
    assert recorder.launches == ()


def test_each_launch_is_kept_in_order(units: ModuleType, policy: Any) -> None:
    with pk.time_launches(keep_launches=True) as recorder:
        pk.parallel_for("a", policy, units.fill, x=X, value=1.0)
        with computing_layers(range(3, 5), 1):
            pk.parallel_for("b", policy, units.fill, x=X, value=1.0)
        pk.parallel_for("a", policy, units.fill, x=X, value=1.0)
    labels = [(each.label, each.layers) for each in recorder.launches]
    assert labels == [("a", None), ("b", range(3, 5)), ("a", None)]
    total = sum(each.total for each in recorder.times)
    assert sum(each.seconds for each in recorder.launches) == pytest.approx(total)


def test_an_exception_ends_the_layers() -> None:
    recorder = LaunchRecorder(keep_launches=True)
    call = timed(lambda: None, lambda: "l", [recorder], None)

    def fail() -> None:
        with computing_layers(range(1), 1):
            call()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    call()
    first, second = recorder.launches
    assert (first.layers, second.layers) == (range(1), None)
    assert second == TimedLaunch("l", None, second.seconds)
    # The recorder is not one of the active ones, to which the block adds the rows.
    assert recorder.layer_times == (LayerTimes(range(1), 1, 0, first.seconds),)


def test_whether_launches_are_recorded() -> None:
    assert not is_recording()
    with pk.time_launches():
        assert is_recording()
    assert not is_recording()
