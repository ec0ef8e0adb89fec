"""Launches run on Kokkos's device in every thread, with a fake driver library."""

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
    handle = ctypes.c_void_p()
    assert cuda.cuDevicePrimaryCtxRetain(ctypes.byref(handle), number) == 0
    return handle

def launch(runtime, current):
    # Another library uses the GPU `current` in this thread; None: no context is current.
    cuda.cuCtxSetCurrent(context(current) if current is not None else None)
    launched.value = -2
    assert runtime.launch(ctypes.c_void_p(1), b"", b"", True)
    return launched.value, cuda.fake_current_gpu()

def start(number):
    return Runtime(SimpleNamespace(load=lambda: stub), None, cuda_driver.devices()[number])
"""


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory, fake_driver: Path) -> Path:
    library = tmp_path_factory.mktemp("runtime") / "stub.so"
    source = Path(__file__).with_name("runtime_stub.cpp")
    command = [host_compiler().path, "-shared", "-fPIC", source, "-o", library]
    subprocess.run([*command, fake_driver / "libcuda.so.1"], check=True)
    return library


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
    """Whichever context is current in the thread; it is current again afterwards."""
    script = """
runtime = start(1)
for current in (None, 0, 1, 2):
    expected = (1, -1 if current is None else current)
    assert launch(runtime, current) == expected
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(launch, runtime, current).result()
        assert result == expected, (current, result)
cuda.cuCtxSetCurrent(None)
runtime._finalize()
assert stopped.value == 1
"""
    run(stub, fake_driver, script)


def test_device_numbers_count_visible_devices(stub: Path, fake_driver: Path) -> None:
    script = "print(launch(start(1), None))"
    assert run(stub, fake_driver, script, CUDA_VISIBLE_DEVICES="2,0") == "(0, -1)\n"


def test_a_failed_launch_restores_the_context_of_the_thread(stub: Path, fake_driver: Path) -> None:
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


def test_an_error_of_the_driver(stub: Path, fake_driver: Path) -> None:
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
