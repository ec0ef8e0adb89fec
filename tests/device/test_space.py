"""Execution spaces: their start, threads, tiles and devices."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kkspdnn.device import space as spaces
from kkspdnn.device.cuda_check import Requirement
from kkspdnn.device.cuda_versions import CudaVersions
from kkspdnn.device.launch_parameters import LaunchParameters
from kkspdnn.device.multiprocessors import Multiprocessors
from kkspdnn.device.space import Space, open_space
from kkspdnn.errors import SpaceError
from kkspdnn.inference import infer
from kkspdnn.model.radixnet import radixnet
from kkspdnn.pk import provide_pykokkos
from kkspdnn.pk.policy import RangePolicy, TeamPolicy
from kkspdnn.pk.system import cuda_driver
from kkspdnn.pk.system.cuda_driver import Device


def test_lanes_fill_the_registers() -> None:
    space = open_space("serial")
    assert space.launch.lanes(np.dtype(np.float32)) == 2 * space.launch.lanes(np.dtype(np.float64))


def test_policies_have_the_execution_space() -> None:
    for name in ("serial", "openmp"):
        space = open_space(name)
        assert isinstance(space.range(3), RangePolicy)
        assert isinstance(space.teams(3), TeamPolicy)
        assert space.teams(3).space is space.execution_space
        assert (space.range(3).begin, space.range(3).end) == (0, 3)


@pytest.mark.parametrize("text", ["", "abc", "0", "2,3", " 2 "])
def test_unusual_numbers_of_threads_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    open_space("serial")
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert open_space("serial").threads == 1
    assert open_space("openmp").threads >= 1


def test_too_many_threads_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "100000")
    with pytest.raises(SpaceError, match="100000 threads: Kokkos supports at most 512"):
        open_space("openmp")


def test_cuda_names_each_missing_requirement(monkeypatch: pytest.MonkeyPatch) -> None:
    requirements = [
        Requirement("driver", None, "install it"),
        Requirement("compiler", "/usr/bin/nvcc", "set CUDA_HOME"),
    ]
    monkeypatch.setattr(spaces, "cuda_requirements", lambda: requirements)
    with pytest.raises(SpaceError, match=r"this machine has no driver \(install it\);") as raised:
        open_space("cuda")
    assert "CUDA_HOME" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_driver_too_old_for_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reported before CuPy is imported or anything is built."""
    monkeypatch.setattr(spaces, "cuda_requirements", list)
    monkeypatch.setattr(
        spaces, "detect_versions", lambda: CudaVersions(driver=(12, 4), cupy=("cupy-cuda13x",))
    )
    monkeypatch.setattr(spaces, "get_runtime", lambda *_: pytest.fail("started"))
    with pytest.raises(SpaceError, match="cupy-cuda13x needs a driver for CUDA 13") as raised:
        open_space("cuda")
    assert 'pip install ".[cuda12]" in a clone of kkspdnn' in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("rows", "vector"), [(1, 32), (512, 32), (513, 8), (60_000, 8)])
def test_tiles_on_cuda_have_a_lane_for_each_thread_of_a_warp(rows: int, vector: int) -> None:
    pk = provide_pykokkos()
    launch = LaunchParameters.default("cuda")
    space = Space("cuda", "builtin", pk, pk.Cuda, 132 * 2048, "", "", launch)
    for dtype in (np.dtype(np.float32), np.dtype(np.float64)):
        shaped = space.for_rows(rows, dtype)
        assert shaped.launch.lanes(dtype) == 32
        team = shaped.teams(3)
        assert (team.league_size, team.team_size, team.vector_length) == (3, 512 // vector, vector)
        # No more threads than work items.
        assert shaped.teams(3, 5).team_size == 5
        assert shaped.teams(3).team_size == 512 // vector


def test_concurrent_teams_on_cuda() -> None:
    pk = provide_pykokkos()
    launch = LaunchParameters.default("cuda")
    space = Space("cuda", "builtin", pk, pk.Cuda, 132 * 2048, "", "", launch)
    space = replace(space, multiprocessors=Multiprocessors(132, 2048, 65_536))
    assert space.concurrent_teams() == 132
    half = replace(space, launch=replace(launch, team_size=32))
    assert half.concurrent_teams() == 264
    compiled = SimpleNamespace(registers=64)
    workunit = SimpleNamespace(programs={(pk.Cuda, ()): compiled, (pk.OpenMP, ()): None})
    assert space.concurrent_teams(workunit) == 264
    assert space.concurrent_teams(SimpleNamespace(programs={})) == 132


@pytest.mark.parametrize(("chosen", "words"), [("2", "device 2: .* 2 device"), ("x", "=x: set it")])
def test_a_missing_device(monkeypatch: pytest.MonkeyPatch, chosen: str, words: str) -> None:
    two = (Device(0, "A", "sm_80"), Device(1, "B", "sm_90"))
    monkeypatch.setattr("kkspdnn.pk.system.cuda_driver.devices", lambda: two)
    monkeypatch.setattr(spaces, "cuda_requirements", list)
    monkeypatch.setenv("KOKKOS_DEVICE_ID", chosen)
    with pytest.raises(SpaceError, match=words):
        open_space("cuda")
    monkeypatch.setenv("KOKKOS_DEVICE_ID", "1")
    assert cuda_driver.selected_device() == two[1]


def test_cupy_uses_the_device_and_stream_of_kokkos(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[object] = []

    def device(number: int) -> SimpleNamespace:
        return SimpleNamespace(use=lambda: used.append(number))

    null = SimpleNamespace(use=lambda: used.append("null"))
    cuda = SimpleNamespace(Device=device, Stream=SimpleNamespace(null=null))
    cupy = SimpleNamespace(cuda=cuda)
    monkeypatch.setattr(spaces, "selected_device", lambda: Device(1, "B", "sm_90"))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    assert spaces._cupy() is cupy
    assert used == [1, "null"]


def test_prepare_thread_selects_device_and_stream_in_the_calling_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CuPy's current device and stream are per thread."""
    used: list[object] = []

    def device(number: int) -> SimpleNamespace:
        return SimpleNamespace(use=lambda: used.append((number, threading.get_ident())))

    null = SimpleNamespace(use=lambda: used.append(("null", threading.get_ident())))
    cuda = SimpleNamespace(Device=device, Stream=SimpleNamespace(null=null))
    prepare_thread = spaces._prepare_on_device(
        SimpleNamespace(cuda=cuda), 1, lambda: used.append("prepared")
    )
    with ThreadPoolExecutor(1) as pool:
        pool.submit(prepare_thread).result()
        other = pool.submit(threading.get_ident).result()
    assert used == ["prepared", (1, other), ("null", other)]
    assert other != threading.get_ident()


@pytest.mark.parametrize(
    ("space", "device", "words"),
    [
        ("openmp", 0, "device 0 is for space cuda; leave it out for openmp"),
        ("serial", 1, "device 1 is for space cuda; leave it out for serial"),
        ("cuda", -1, "device -1: it must be a whole number from 0"),
        ("cuda", True, "device True: it must be a whole number from 0"),
        ("cuda", 1.5, "device 1.5: it must be a whole number from 0"),
        ("cuda", 2, "device 2: this process may use 2 device.* numbered from 0; choose one"),
    ],
)
def test_an_invalid_device_is_refused_and_not_selected(
    monkeypatch: pytest.MonkeyPatch, space: str, device: Any, words: str
) -> None:
    two = (Device(0, "A", "sm_80"), Device(1, "B", "sm_90"))
    monkeypatch.setattr("kkspdnn.pk.system.cuda_driver.devices", lambda: two)
    monkeypatch.setattr(spaces, "cuda_requirements", list)
    monkeypatch.setenv("KOKKOS_DEVICE_ID", "1")
    with pytest.raises(SpaceError, match=words):
        open_space(space, device=device)
    with pytest.raises(SpaceError, match=words):
        infer(radixnet(64, 2), np.ones((3, 64), np.float32), space=space, device=device)
    assert cuda_driver.selected_device() == two[1]


def test_a_device_without_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kkspdnn.pk.system.cuda_driver.devices", lambda: (Device(0, "A", "sm_80"),))
    monkeypatch.setattr(spaces, "cuda_requirements", list)
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(SpaceError, match=r"CuPy cannot use device 0: .* pip install \"\.\[cuda"):
        open_space("cuda", device=0)
