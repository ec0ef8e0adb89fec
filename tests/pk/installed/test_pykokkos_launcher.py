"""Launches with the real PyKokkos: the arguments that its compiled functions get."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fakes import FAKE

from kkspdnn.pk import language, language_as_pykokkos
from kkspdnn.pk.codegen.pykokkos_source import PyKokkosSource
from kkspdnn.pk.dispatch import trace_launches
from kkspdnn.pk.installed import launcher as launcher_file
from kkspdnn.pk.installed.launcher import PyKokkosLauncher
from kkspdnn.pk.policy import ExecutionSpace, RangePolicy, TeamPolicy
from kkspdnn.pk.prepared_launch import PreparedLaunch
from kkspdnn.pk.runtime.launch_times import computing_layers, time_launches
from kkspdnn.pk.types import infer_type
from kkspdnn.pykokkos_finder import real_package_only

WORKUNITS = """
import pykokkos as pk

@pk.workunit
def scale(i: int, x, y: pk.View1D[pk.double], factor: float, n: int):
    y[i] = factor * x[i]

@pk.workunit
def by_team(m: pk.TeamMember, x: pk.View2D[pk.float], n: int):
    x[m.league_rank()][0] = n

@pk.workunit
def total(i: int, acc: pk.Acc[pk.double], x: pk.View1D[pk.double]):
    acc += x[i]
"""
SPACE = ExecutionSpace.OpenMP


class FakeModules:
    """In the place of `PyKokkosModules`: a compiled function records its arguments."""

    def __init__(self) -> None:
        self.space = SPACE
        self.compiled: list[PyKokkosSource] = []
        self.calls: list[dict[str, Any]] = []

    def find(self, source: PyKokkosSource) -> Path | None:
        return Path(source.function) if source in self.compiled else None

    def compile(self, source: PyKokkosSource) -> Path:
        if self.find(source) is None:
            self.compiled.append(source)
        return Path(source.function)

    def wrapper(self, path: Path, function: str) -> Callable[..., Any]:
        assert str(path) == function
        (source,) = [each for each in self.compiled if each.function == function]

        def launch(**arguments: Any) -> float:
            for parameter in source.signature.parameters:
                value = arguments[parameter.name]
                given = infer_type(getattr(value, "of", value))
                if given != parameter.type:
                    raise RuntimeError(f"Unable to cast {parameter.name}")
            self.calls.append(arguments)
            return 7.0

        return launch


@pytest.fixture
def modules() -> FakeModules:
    return FakeModules()


@pytest.fixture
def launcher(modules: FakeModules, monkeypatch: pytest.MonkeyPatch) -> Iterator[PyKokkosLauncher]:
    """A launcher of the stand-in for PyKokkos, which is imported meanwhile."""
    kept = {name: each for name, each in sys.modules.items() if name.split(".")[0] == "pykokkos"}
    for name in kept:
        del sys.modules[name]
    monkeypatch.syspath_prepend(str(FAKE))
    monkeypatch.setattr(launcher_file, "load_wrapper", modules.wrapper)
    with real_package_only():
        yield PyKokkosLauncher(modules)  # type: ignore[arg-type]
    for name in [name for name in sys.modules if name.split(".")[0] == "pykokkos"]:
        del sys.modules[name]
    sys.modules.update(kept)


@pytest.fixture
def kernels(load: Callable[..., ModuleType]) -> ModuleType:
    with language_as_pykokkos():
        return load(WORKUNITS)


def test_a_launch_over_a_range(
    launcher: PyKokkosLauncher, modules: FakeModules, kernels: ModuleType
) -> None:
    x, y = np.ones(5, np.float32), np.zeros(5)
    policy = RangePolicy(SPACE, 2, 5)
    launcher.parallel_for("label", policy, kernels.scale, x=x, y=y, factor=2.0, n=3)
    (call,) = modules.calls
    assert call["x"].of is x
    assert call["y"].of is y
    assert call["x"].space == "Host"
    del call["x"], call["y"]
    assert call == {
        "factor": 2.0,
        "n": 3,
        "pk_exec_space_instance": "instance of OpenMP",
        "pk_kernel_name": "label",
        "pk_threads_begin": 2,
        "pk_threads_end": 5,
        "pk_randpool_seed": 0,
        "pk_randpool_num_states": 0,
    }


def test_a_launch_over_teams_and_a_reduction(
    launcher: PyKokkosLauncher, modules: FakeModules, kernels: ModuleType
) -> None:
    x = np.zeros((3, 2), np.float32)
    for policy, size in (
        (TeamPolicy(SPACE, 3, 2, 4), 2),
        (TeamPolicy(SPACE, 3, language.AUTO, 4), -1),
    ):
        launcher.parallel_for("teams", policy, kernels.by_team, x=x, n=1)
        call = modules.calls[-1]
        shape = [call[f"pk_{name}"] for name in ("league_size", "team_size", "vector_length")]
        assert shape == [3, size, 4]
        assert "pk_threads_begin" not in call
    assert (
        launcher.parallel_reduce("sum", RangePolicy(SPACE, 0, 2), kernels.total, x=np.ones(2)) == 7
    )


def test_a_workunit_is_compiled_for_each_choice_of_types(
    launcher: PyKokkosLauncher, modules: FakeModules, kernels: ModuleType
) -> None:
    y = np.zeros(5)
    for dtype in (np.float32, np.float64, np.float32):
        launcher.parallel_for(
            "", RangePolicy(SPACE, 0, 5), kernels.scale, x=np.ones(5, dtype), y=y, factor=1.0, n=1
        )
    texts = [each.text for each in modules.compiled]
    assert ["x: pk.View1D[pk.float]" in text for text in texts] == [True, False]


def test_compile_ahead_compiles_and_does_not_launch(
    launcher: PyKokkosLauncher, modules: FakeModules, kernels: ModuleType
) -> None:
    policy, x = RangePolicy(SPACE, 0, 2), np.ones(2)

    def launch() -> None:
        assert launcher.parallel_reduce("", policy, kernels.total, x=x) == 0
        launcher.parallel_for("", policy, kernels.scale, x=x, y=x, factor=1.0, n=1)

    launcher.compile_ahead(launch)
    assert [each.name for each in modules.compiled] == ["total", "scale"]
    launcher.compile_ahead(launch)
    assert len(modules.compiled) == 2
    assert modules.calls == []


WRONG = {
    "argument `n` is missing": {"n": None},
    "scale has no argument `more`": {"more": 1},
    "argument `y` must be an array of 1 dimension(s) of float64, not list": {"y": [1.0]},
    "argument `y` must be an array of 1 dimension(s) of float64, not 2 of float32": {
        "y": np.ones((2, 2), np.float32)
    },
    "argument `x` is not C-contiguous": {"x": np.ones((2, 2))[:, 0]},
    "Unable to cast factor": {"factor": "a"},
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_argument_is_named(
    launcher: PyKokkosLauncher, kernels: ModuleType, message: str
) -> None:
    arguments: dict[str, Any] = {"x": np.ones(2), "y": np.ones(2), "factor": 1.0, "n": 1}
    arguments |= WRONG[message]
    arguments = {name: value for name, value in arguments.items() if value is not None}
    with pytest.raises(TypeError) as raised:
        launcher.parallel_for("", RangePolicy(SPACE, 0, 2), kernels.scale, **arguments)
    assert message in str(raised.value)


def test_a_prepared_launch_keeps_what_does_not_change(
    launcher: PyKokkosLauncher, modules: FakeModules, kernels: ModuleType
) -> None:
    y, policy = np.zeros(3), RangePolicy(SPACE, 0, 3)
    launch = PreparedLaunch("label", kernels.scale, {"y": y, "factor": 2.0}, ("x", "n"))
    arrays = [np.ones(3), np.ones(3), np.ones(3, np.float32), np.ones(3)]
    for n, x in enumerate(arrays):
        launch(launcher, policy, x, n)
    assert [call["x"].of is x for call, x in zip(modules.calls, arrays, strict=True)] == [True] * 4
    assert [call["n"] for call in modules.calls] == [0, 1, 2, 3]
    assert all(call["y"].of is y and call["factor"] == 2.0 for call in modules.calls)
    assert all(call["pk_kernel_name"] == "label" for call in modules.calls)
    assert len(modules.compiled) == 2  # for float64 and float32
    (trace,) = trace_launches(lambda: launch(launcher, policy, arrays[0], 5))
    assert trace[0] is kernels.scale
    assert len(modules.calls) == 4


def test_views_are_kept_as_long_as_they_are_right(launcher: PyKokkosLauncher) -> None:
    views = launcher._views
    array = np.zeros((4, 2))
    first = views.of(array)
    assert views.of(array) is first
    assert views.of(array[:2]) is not first
    assert views.of(array.view(np.int64)) is not first
    assert views.of(array.reshape(2, 4)) is not first
    assert views.of(array.view()) is first  # another array with the same address, shape and dtype
    array.shape = (8,)
    assert views.of(array) is not first
    many = [np.zeros(1) for _ in range(3000)]
    assert [views.of(each).of is each for each in many] == [True] * 3000


def test_an_array_in_gpu_memory(launcher: PyKokkosLauncher) -> None:
    """PyKokkos takes its address from a NumPy array."""
    memory = np.arange(6.0).reshape(2, 3)

    class GpuArray(SimpleNamespace):
        __cuda_array_interface__: dict[str, object] = {}  # noqa: RUF012

        def __hash__(self) -> int:
            return id(self)

    array = GpuArray(
        data=SimpleNamespace(ptr=memory.ctypes.data),
        shape=(2, 3),
        dtype=memory.dtype,
        flags=SimpleNamespace(c_contiguous=True),
    )
    view = launcher._views.of(array)
    assert view.space == "Cuda"
    assert view.of.ctypes.data == memory.ctypes.data
    assert (view.of == memory).all()


def test_a_closed_launcher_keeps_nothing_of_kokkos(
    launcher: PyKokkosLauncher, kernels: ModuleType
) -> None:
    x = np.zeros((3, 2), np.float32)
    launcher.parallel_for("", TeamPolicy(SPACE, 3, 1), kernels.by_team, x=x, n=1)
    first = launcher._views.of(x)
    launcher.close()
    assert launcher._kernels == {}
    assert launcher._views.of(x) is not first


def test_times_of_launches(launcher: PyKokkosLauncher, kernels: ModuleType) -> None:
    """Of workunits that are compiled before, inside and after the block."""
    policy, x = RangePolicy(SPACE, 0, 2), np.ones(2)

    def add_up() -> None:
        launcher.parallel_reduce("sum", policy, kernels.total, x=x)

    def scale() -> None:
        launcher.parallel_for("scale", policy, kernels.scale, x=x, y=x, factor=1.0, n=1)

    add_up()
    with time_launches() as recorder:
        add_up()
        scale()
        with computing_layers(range(2), 5):
            scale()
    add_up()
    scale()
    assert {each.label: each.count for each in recorder.times} == {"sum": 1, "scale": 2}
    (layers,) = recorder.layer_times
    assert (layers.layers, layers.count, layers.rows) == (range(2), 1, 5)


def test_times_on_a_gpu_wait_for_it(
    launcher: PyKokkosLauncher, kernels: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[None] = []
    runtime = SimpleNamespace(deviceSynchronize=lambda: waits.append(None))
    fake_cupy = SimpleNamespace(cuda=SimpleNamespace(runtime=runtime))
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy)
    monkeypatch.setattr(launcher.modules, "space", ExecutionSpace.Cuda)
    policy = RangePolicy(SPACE, 0, 2)
    with time_launches():
        launcher.parallel_reduce("sum", policy, kernels.total, x=np.ones(2))
    assert len(waits) == 2
    launcher.parallel_reduce("sum", policy, kernels.total, x=np.ones(2))
    assert len(waits) == 2
