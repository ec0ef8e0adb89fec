"""`pk.Timer`, `pk.fence` and `pk.printf`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pykokkos as pk
import pytest

import kkspdnn


def test_a_timer_counts_seconds() -> None:
    timer = pk.Timer()
    time.sleep(0.02)
    assert 0.02 <= timer.seconds() < 10
    timer.reset()
    assert timer.seconds() < 0.02


def test_printf_prints_without_a_new_line(capsys: pytest.CaptureFixture[str]) -> None:
    pk.printf("%d of %lf\n", 3, 1.5)
    pk.printf("100%%")
    assert capsys.readouterr().out == "3 of 1.500000\n100%"


def test_a_fence_without_a_gpu_returns() -> None:
    assert pk.fence() is None
    assert pk.fence("label") is None


FENCE = """
import ctypes
from kkspdnn.errors import SpaceError
from kkspdnn.pk.language import fence
driver = ctypes.CDLL("libcuda.so.1")
current, context = ctypes.c_void_p(0), ctypes.c_void_p(0)

fence()
print(driver.fake_waits())
driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0)
try:
    fence("after work")
except SpaceError as error:
    print(error)
print(driver.fake_waits(), driver.fake_current_gpu())
"""


@pytest.mark.parametrize(
    ("variables", "output"),
    [
        ({}, "0\n1 -1\n"),
        ({"KOKKOS_DEVICE_ID": "1"}, "0\n1 -1\n"),
        ({"KOKKOS_DEVICE_ID": "9"}, "0\n0 -1\n"),
        ({"KOKKOS_DEVICE_ID": "first"}, "0\n0 -1\n"),
        (
            {"FAKE_ERROR": "700"},
            "0\ndevice 0: an earlier launch failed with CUDA error 700\n1 -1\n",
        ),
    ],
)
def test_a_fence_waits_for_a_gpu_that_is_in_use(
    fake_driver: Path, variables: dict[str, str], output: str
) -> None:
    """The context of the thread stays as it was."""
    home = str(Path(kkspdnn.__file__).parents[1])
    paths = {"PYTHONPATH": home, "LD_LIBRARY_PATH": str(fake_driver), "FAKE_GPUS": "0,1"}
    kept = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    done = subprocess.run(
        [sys.executable, "-c", FENCE],
        env={**kept, **paths, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == (output, "")
