"""What a CUDA run needs is looked for, and nothing is claimed that is not there."""

from __future__ import annotations

import ctypes
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from kkspdnn.device import cuda_check


def parts() -> dict[str, cuda_check.Part]:
    return {part.name: part for part in cuda_check.cuda_parts()}


def test_every_part_is_found_or_has_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> Any:
        raise OSError

    monkeypatch.setattr(ctypes, "CDLL", missing)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(cuda_check, "find_spec", lambda _: None)
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delenv("CUDA_HOME", raising=False)
    monkeypatch.delenv("CUDA_PATH", raising=False)
    found = parts()
    assert list(found) == ["driver", "device", "compiler", "CuPy"]
    assert all(part.found is None and part.remedy for part in found.values())


def test_nvcc_is_taken_from_cuda_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "nvcc").write_text("")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    assert parts()["compiler"].found == str(tmp_path / "bin" / "nvcc")


def test_cupy_is_named_with_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without importing it."""
    monkeypatch.setattr(cuda_check, "installed_cupy", lambda: ("cupy-cuda12x",))
    monkeypatch.setattr(cuda_check, "version", lambda name: f"14.0 of {name}")
    monkeypatch.setattr(cuda_check, "find_spec", lambda _: "there")
    assert parts()["CuPy"].found == "cupy-cuda12x 14.0 of cupy-cuda12x"
    monkeypatch.setattr(cuda_check, "installed_cupy", tuple)
    assert parts()["CuPy"].found == "installed"
    assert "cupy" not in sys.modules


@pytest.mark.parametrize(
    ("failing", "devices"), [(True, None), (False, "0: GPU 10, sm_80; 1: GPU 11, sm_90")]
)
def test_devices_are_counted_by_the_driver(
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
    found = parts()
    assert found["driver"].found == "libcuda.so.1, runs up to CUDA 12.4"
    assert cuda_check.found_versions().driver == (12, 4)
    # What fits this driver.
    assert 'pip install "kkspdnn[cuda12]"' in found["CuPy"].remedy
    assert "nvcc of CUDA 12" in found["compiler"].remedy
    assert found["device"].found == devices
