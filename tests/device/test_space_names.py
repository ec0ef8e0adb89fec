"""Unknown names of execution spaces are refused in one line that lists the choices."""

from __future__ import annotations

from pathlib import Path

import pytest

import kkspdnn as kk
from bench.__main__ import main as bench
from kkspdnn.choices import SPACES
from kkspdnn.device import space as spaces
from kkspdnn.device.cuda_check import Requirement
from kkspdnn.device.gpu_vendors import unsupported_gpu_vendors
from kkspdnn.device.space_names import space_option, unknown_space
from tests.refusals import refusal

NAMES = ["hip", "HIP", "rocm", "sycl", "SYCL", "openmptarget", "OpenMP_Target", "openacc", "hpx"]
NAMES += ["threads", "Threads", "opencl", "metal", "gpu", "cpu", "OpenMP", "Cuda", "", " serial"]


@pytest.mark.parametrize("name", NAMES)
def test_every_command_refuses_the_name(capsys: pytest.CaptureFixture[str], name: str) -> None:
    words = unknown_space(name)
    assert all(each in words for each in SPACES) or "write " in words
    for command in ((), ("compile",), ("show", "fused_equal")):
        assert words in refusal(capsys, *command, "--space", name)
    with pytest.raises(kk.SpaceError) as raised:
        kk.infer(kk.radixnet(64, 2), kk.images(64, 3), space=name)
    assert str(raised.value) == words
    with pytest.raises(kk.SpaceError):
        kk.Predictor(kk.radixnet(64, 2), space=name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hip", "space 'hip': AMD GPUs are not supported; choose one of serial, openmp, cuda (NV"),
        ("Kokkos::HIP", "space 'Kokkos::HIP': AMD GPUs are not supported"),
        ("pk.SYCL", "space 'pk.SYCL': Intel GPUs are not supported"),
        ("OpenMP", "space 'OpenMP' is unknown: write openmp"),
        ("Kokkos::Cuda", "space 'Kokkos::Cuda' is unknown: write cuda"),
        ("Threads", "space 'Threads': this Kokkos backend is not supported; choose one of serial"),
        ("openpm", "space 'openpm' is unknown (did you mean openmp?): choose one of serial"),
        ("gpu", "space 'gpu' is unknown: choose one of serial, openmp, cuda (NVIDIA GPUs)"),
        (3, "space 3 is unknown: choose one of"),
        ("a\nb" * 99, "space 'a\\nba"),
    ],
)
def test_the_message_of_a_name(name: object, words: str) -> None:
    assert unknown_space(name).startswith(words)
    assert "\n" not in unknown_space(name)


def test_a_benchmark_supports_fewer_spaces(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("hip", "serial"):
        with pytest.raises(SystemExit) as exited:
            bench(["run", "--space", name])
        printed = capsys.readouterr()
        assert (exited.value.code, printed.out, printed.err.count("\n")) == (2, "", 1)
        assert "choose one of openmp, cuda (NVIDIA GPUs)" in printed.err
    assert space_option(("openmp",))("openmp") == "openmp"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The PCI devices of a machine: GPUs of AMD and NVIDIA, and a network card of Intel."""
    for name, vendor, pci_class in (
        ("0000:03:00.0", "0x1002", "0x120000"),
        ("0000:04:00.0", "0x10de", "0x030200"),
        ("0000:05:00.0", "0x8086", "0x020000"),
        ("0000:06:00.0", "0x1002", "0x030000"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vendor").write_text(f"{vendor}\n")
        (tmp_path / name / "class").write_text(f"{pci_class}\n")
    (tmp_path / "0000:07:00.0").mkdir()
    return tmp_path


def test_unsupported_vendors(machine: Path) -> None:
    assert unsupported_gpu_vendors(machine) == ("AMD",)
    assert unsupported_gpu_vendors(machine / "nowhere") == ()


@pytest.mark.parametrize(("driver", "mentioned"), [(None, True), ("libcuda.so.1", False)])
def test_a_machine_with_an_unsupported_gpu(
    monkeypatch: pytest.MonkeyPatch, driver: str | None, mentioned: bool
) -> None:
    requirements = [
        Requirement("driver", driver, "install it"),
        Requirement("CuPy", None, "pip install it"),
    ]
    monkeypatch.setattr(spaces, "cuda_requirements", lambda: requirements)
    monkeypatch.setattr(spaces, "unsupported_gpu_vendors", lambda: ("AMD", "Intel"))
    with pytest.raises(kk.SpaceError) as raised:
        spaces.check_space("cuda")
    words = "it has a GPU of AMD and Intel, but only NVIDIA GPUs are supported"
    assert (words in str(raised.value)) == mentioned
    assert str(raised.value).endswith("; or use space='openmp'")
