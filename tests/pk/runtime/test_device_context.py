"""Launches go to Kokkos' device from every thread; with a driver that only counts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import kkspdnn
from kkspdnn.pk.build.toolchain import host_compiler

START = """
import ctypes, sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from kkspdnn.pk.system import cuda_driver
from kkspdnn.pk.runtime.kokkos_runtime import Runtime

cuda = ctypes.CDLL("libcuda.so.1")
stub = ctypes.CDLL(sys.argv[1])
launched = ctypes.c_int.in_dll(stub, "launched_on")
stopped = ctypes.c_int.in_dll(stub, "stopped_on")

def context(number):
    found = ctypes.c_void_p()
    assert cuda.cuDevicePrimaryCtxRetain(ctypes.byref(found), number) == 0
    return found

def launch(runtime, before):
    # Another library uses this GPU, in this thread; None: no context is current.
    cuda.cuCtxSetCurrent(context(before) if before is not None else None)
    launched.value = -2
    assert runtime.launch(1, b"", b"", True)
    return launched.value, cuda.fake_current_gpu()

def start(number):
    return Runtime(SimpleNamespace(load=lambda: stub), None, cuda_driver.devices()[number])
"""


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory, fake_driver: Path) -> Path:
    made = tmp_path_factory.mktemp("runtime") / "stub.so"
    source = Path(__file__).with_name("runtime_stub.cpp")
    command = [host_compiler().path, "-shared", "-fPIC", source, "-o", made]
    subprocess.run([*command, fake_driver / "libcuda.so.1"], check=True)
    return made


def run(stub: Path, fake_driver: Path, script: str, **variables: str) -> str:
    home = str(Path(kkspdnn.__file__).parents[1])
    paths = {"PYTHONPATH": home, "LD_LIBRARY_PATH": str(fake_driver), "FAKE_GPUS": "0,1,2"}
    done = subprocess.run(
        [sys.executable, "-c", START + script, str(stub)],
        env={**os.environ, **paths, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_every_thread_launches_on_the_device_of_kokkos(stub: Path, fake_driver: Path) -> None:
    """Whatever is current there, and it is current again afterwards."""
    script = """
runtime = start(1)
for before in (None, 0, 1, 2):
    assert launch(runtime, before) == (1, -1 if before is None else before)
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(launch, runtime, before).result()
        assert found == (1, -1 if before is None else before), (before, found)
cuda.cuCtxSetCurrent(None)
runtime._finalize()
assert stopped.value == 1
"""
    run(stub, fake_driver, script)


def test_numbers_are_those_within_the_visible_devices(stub: Path, fake_driver: Path) -> None:
    script = "print(launch(start(1), None))"
    assert run(stub, fake_driver, script, CUDA_VISIBLE_DEVICES="2,0") == "(0, -1)\n"


def test_a_failed_launch_leaves_the_thread_as_it_was(stub: Path, fake_driver: Path) -> None:
    script = """
runtime = start(1)
def fail(*_):
    assert cuda.fake_current_gpu() == 1
    raise RuntimeError
runtime._run = fail
try:
    launch(runtime, 2)
except RuntimeError:
    print(cuda.fake_current_gpu())
"""
    assert run(stub, fake_driver, script) == "2\n"


def test_a_driver_that_fails(stub: Path, fake_driver: Path) -> None:
    script = """
from kkspdnn.errors import SpaceError
from kkspdnn.pk.runtime.device_context import DeviceContext
try:
    DeviceContext(3)
except SpaceError as error:
    print(error)
"""
    assert run(stub, fake_driver, script) == (
        "device 3 cannot be used: the driver reports CUDA error 101; see nvidia-smi\n"
    )
