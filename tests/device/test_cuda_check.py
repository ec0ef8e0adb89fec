"""Requirements of CUDA: detected, or reported with a remedy."""

from __future__ import annotations

import ctypes
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from kkspdnn.device import cuda_check


def requirements() -> dict[str, cuda_check.Requirement]:
    return {each.name: each for each in cuda_check.cuda_requirements()}


def test_every_missing_requirement_has_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> Any:
        raise OSError

    monkeypatch.setattr(ctypes, "CDLL", missing)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(cuda_check, "find_spec", lambda _: None)
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delenv("CUDA_HOME", raising=False)
    monkeypatch.delenv("CUDA_PATH", raising=False)
    checked = requirements()
    assert list(checked) == ["driver", "device", "compiler", "CuPy"]
    assert all(each.detected is None and each.remedy for each in checked.values())


def test_nvcc_of_cuda_home_is_detected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "nvcc").write_text("")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    assert requirements()["compiler"].detected == str(tmp_path / "bin" / "nvcc")


def test_cupy_is_named_with_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """CuPy is not imported for that."""
    monkeypatch.setattr(cuda_check, "installed_cupy", lambda: ("cupy-cuda12x",))
    monkeypatch.setattr(cuda_check, "version", lambda name: f"14.0 of {name}")
    monkeypatch.setattr(cuda_check, "find_spec", lambda _: "a spec")
    assert requirements()["CuPy"].detected == "cupy-cuda12x 14.0 of cupy-cuda12x"
    monkeypatch.setattr(cuda_check, "installed_cupy", tuple)
    assert requirements()["CuPy"].detected == "installed"
    assert "cupy" not in sys.modules


@pytest.mark.parametrize(
    ("failing", "devices"), [(True, None), (False, "0: GPU 10, sm_80; 1: GPU 11, sm_90")]
)
def test_devices_are_reported_by_the_driver(
    monkeypatch: pytest.MonkeyPatch, failing: bool, devices: str | None
) -> None:
    class Driver:
        def __init__(self, _: str) -> None:
            pass

        def cuInit(self, _: int) -> int:  # noqa: N802
            return 100 if failing else 0

        def cuDriverGetVersion(self, pointer: Any) -> int:  # noqa: N802
            pointer._obj.value = 12040
            return 0

        def cuDeviceGetCount(self, pointer: Any) -> int:  # noqa: N802
            pointer._obj.value = 2
            return 0

        def cuDeviceGet(self, pointer: Any, number: int) -> int:  # noqa: N802
            pointer._obj.value = 10 + number
            return 0

        def cuDeviceGetName(self, name: Any, size: int, handle: Any) -> int:  # noqa: N802
            assert size == 256
            name.value = f"GPU {handle.value}".encode()
            return 0

        def cuDeviceGetAttribute(self, pointer: Any, what: int, handle: Any) -> int:  # noqa: N802
            pointer._obj.value = {75: handle.value - 2, 76: 0}[what]
            return 0

    monkeypatch.setattr(ctypes, "CDLL", Driver)
    checked = requirements()
    assert checked["driver"].detected == "libcuda.so.1, runs up to CUDA 12.4"
    assert cuda_check.detect_versions().driver == (12, 4)
    # The remedies install versions for this driver.
    assert 'pip install ".[cuda12]" in a clone of kkspdnn' in checked["CuPy"].remedy
    assert "nvcc of CUDA 12" in checked["compiler"].remedy
    assert checked["device"].detected == devices
