"""Every conflict between driver, toolkit and CuPy is reported in one line with its remedy."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kkspdnn.device import cuda_versions
from kkspdnn.device.cuda_versions import (
    CudaVersions,
    conflicts,
    cupy_conflicts,
    extra_for,
    installed_cupy,
)
from kkspdnn.pk.build.nvcc import Nvcc
from kkspdnn.pk.system.cuda_driver import Device

ARCHITECTURES = {
    (12, 4): ("sm_50", "sm_70", "sm_75", "sm_80", "sm_90"),
    (12, 8): ("sm_70", "sm_75", "sm_80", "sm_90", "sm_100", "sm_120"),
    (13, 0): ("sm_75", "sm_80", "sm_90", "sm_100", "sm_103", "sm_120"),
}


def nvcc(cuda: tuple[int, int]) -> Nvcc:
    version = f"release {cuda[0]}.{cuda[1]}, V{cuda[0]}.{cuda[1]}.1"
    return Nvcc("/cuda/bin/nvcc", Path("/cuda"), version, ARCHITECTURES[cuda])


def versions(
    driver: tuple[int, int] | None = None,
    cupy: str = "",
    toolkit: tuple[int, int] | None = None,
    arch: str = "",
) -> CudaVersions:
    devices = tuple(Device(n, f"GPU {n}", each) for n, each in enumerate(arch.split()))
    compiler = nvcc(toolkit) if toolkit is not None else None
    return CudaVersions(driver, devices, tuple(cupy.split()), compiler)


@pytest.mark.parametrize(
    "installed",
    [
        versions(),
        versions((13, 0), "cupy-cuda13x", (13, 0), "sm_90"),
        versions((12, 4), "cupy-cuda12x", (12, 4), "sm_90"),
        # A newer driver runs older CUDA.
        versions((13, 1), "cupy-cuda12x", (12, 4), "sm_70"),
        versions((13, 0), "cupy-cuda13x", (12, 8), "sm_120"),
        # Machine code of a newer minor version runs.
        versions((12, 2), "cupy-cuda12x", (12, 8), "sm_90"),
        # The driver compiles PTX of an older version.
        versions((12, 8), "cupy-cuda12x", (12, 4), "sm_120"),
        versions((13, 0), "cupy-cuda13x", (12, 4), "sm_120"),
        # A build from source or conda's package: its version of CUDA is unknown.
        versions((12, 4), "cupy", (12, 4), "sm_90"),
        versions(None, "cupy-cuda13x", (12, 4)),
    ],
)
def test_compatible_versions(installed: CudaVersions) -> None:
    assert conflicts(installed) == []


TO_12 = 'run pip uninstall cupy-cuda13x, then pip install ".[cuda12]" in a clone of kkspdnn'


@pytest.mark.parametrize(
    ("installed", "line"),
    [
        (
            versions((12, 4), "cupy-cuda13x"),
            "cupy-cuda13x needs a driver for CUDA 13, and this one runs up to CUDA 12.4: "
            f"{TO_12}, or update the driver to one for CUDA 13",
        ),
        (
            versions((11, 8), "cupy-cuda12x"),
            "cupy-cuda12x needs a driver for CUDA 12, and this one runs up to CUDA 11.8: "
            "update the driver to one for CUDA 12",
        ),
        (
            versions((13, 0), "cupy-cuda13x", None, "sm_90 sm_70"),
            f"cupy-cuda13x does not run on GPU 1, sm_70: {TO_12}",
        ),
        (
            versions((12, 4), "cupy-cuda12x cupy-cuda13x"),
            "cupy-cuda12x and cupy-cuda13x are installed, which overwrite each other's files: run "
            'pip uninstall cupy-cuda12x cupy-cuda13x, then pip install ".[cuda12]" in a clone of '
            "kkspdnn",
        ),
        (
            versions((12, 4), "cupy-cuda12x", (13, 0), "sm_90"),
            "/cuda/bin/nvcc is of CUDA 13.0, and the driver runs up to CUDA 12.4: set CUDA_HOME to "
            "a toolkit of CUDA 12, or update the driver",
        ),
        (
            versions((13, 0), "cupy-cuda12x", (13, 0), "sm_70"),
            "/cuda/bin/nvcc is of CUDA 13.0, which no longer compiles for sm_70: set CUDA_HOME to "
            "a toolkit of CUDA 12",
        ),
        (
            versions((12, 6), "cupy-cuda12x", (12, 8), "sm_103 sm_103"),
            "/cuda/bin/nvcc is of CUDA 12.8, which compiles for sm_103 to PTX only, and the driver "
            "compiles PTX up to CUDA 12.6: set CUDA_HOME to a toolkit that knows sm_103, or update "
            "the driver",
        ),
    ],
)
def test_conflicting_versions(installed: CudaVersions, line: str) -> None:
    assert conflicts(installed) == [line]


numbers = st.tuples(st.integers(9, 15), st.integers(0, 9))
architectures = st.sampled_from(["sm_35", "sm_70", "sm_75", "sm_90", "sm_103", "sm_120", "sm_130"])


@given(
    st.none() | numbers,
    st.lists(st.sampled_from(["cupy", "cupy-cuda12x", "cupy-cuda13x"]), unique=True),
    st.none() | st.sampled_from(sorted(ARCHITECTURES)),
    st.lists(architectures, max_size=3),
)
def test_every_conflict_has_a_remedy(
    driver: tuple[int, int] | None,
    cupy: list[str],
    toolkit: tuple[int, int] | None,
    archs: list[str],
) -> None:
    installed = versions(driver, " ".join(cupy), toolkit, " ".join(archs))
    lines = conflicts(installed)
    assert len(set(lines)) == len(lines)
    for line in lines:
        assert re.search("pip install|CUDA_HOME|update the driver", line), line
        assert "\n" not in line
    # No nvcc is needed if the cache has all compiled workunits.
    assert cupy_conflicts(installed) == lines[: len(cupy_conflicts(installed))]
    assert all("nvcc" not in line for line in cupy_conflicts(installed))


@pytest.mark.parametrize(
    ("major", "extra"), [(None, "cuda13"), (11, "cuda12"), (12, "cuda12"), (13, "cuda13")]
)
def test_the_extra_for_a_version_of_cuda(major: int | None, extra: str) -> None:
    assert extra_for(major) == extra


def test_cupy_s_distributions(monkeypatch: pytest.MonkeyPatch) -> None:
    distributions = {"cupy-cuda12x", "cupy", "numpy"}

    def version(name: str) -> str:
        if name not in distributions:
            raise PackageNotFoundError(name)
        return "14.0.0"

    monkeypatch.setattr(cuda_versions, "version", version)
    assert installed_cupy() == ("cupy", "cupy-cuda12x")
    distributions.clear()
    assert installed_cupy() == ()
