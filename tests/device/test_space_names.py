"""Names of execution spaces that are refused, in one line that says what there is."""

from __future__ import annotations

from pathlib import Path

import pytest

import kkspdnn as kk
from bench.__main__ import main as bench
from kkspdnn.choices import SPACES
from kkspdnn.device import space as spaces
from kkspdnn.device.cuda_check import Part
from kkspdnn.device.other_gpus import other_gpus
from kkspdnn.device.space_names import refusal, space_option
from tests.refusals import refusal as refused

NAMES = ["hip", "HIP", "rocm", "sycl", "SYCL", "openmptarget", "OpenMP_Target", "openacc", "hpx"]
NAMES += ["threads", "Threads", "opencl", "metal", "gpu", "cpu", "OpenMP", "Cuda", "", " serial"]


@pytest.mark.parametrize("name", NAMES)
def test_every_command_refuses_it(capsys: pytest.CaptureFixture[str], name: str) -> None:
    words = refusal(name)
    assert all(each in words for each in SPACES) or "write " in words
    for command in ((), ("compile",), ("show", "fused_equal")):
        assert words in refused(capsys, *command, "--space", name)
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
        ("gpu", "space 'gpu' is unknown: choose one of serial, openmp, cuda (NVIDIA GPUs)"),
        (3, "space 3 is unknown: choose one of"),
        ("a\nb" * 99, "space 'a\\nba"),
    ],
)
def test_why(name: object, words: str) -> None:
    assert refusal(name).startswith(words)
    assert "\n" not in refusal(name)


def test_a_benchmark_has_fewer(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("hip", "serial"):
        with pytest.raises(SystemExit) as left:
            bench(["run", "--space", name])
        said = capsys.readouterr()
        assert (left.value.code, said.out, said.err.count("\n")) == (2, "", 1)
        assert "choose one of openmp, cuda (NVIDIA GPUs)" in said.err
    assert space_option(("openmp",))("openmp") == "openmp"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The PCI devices of a machine: GPUs of AMD and NVIDIA, and a network card of Intel."""
    for name, vendor, kind in (
        ("0000:03:00.0", "0x1002", "0x120000"),
        ("0000:04:00.0", "0x10de", "0x030200"),
        ("0000:05:00.0", "0x8086", "0x020000"),
        ("0000:06:00.0", "0x1002", "0x030000"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vendor").write_text(f"{vendor}\n")
        (tmp_path / name / "class").write_text(f"{kind}\n")
    (tmp_path / "0000:07:00.0").mkdir()
    return tmp_path


def test_gpus_of_others(machine: Path) -> None:
    assert other_gpus(machine) == ("AMD",)
    assert other_gpus(machine / "nowhere") == ()


@pytest.mark.parametrize(("driver", "said"), [(None, True), ("libcuda.so.1", False)])
def test_a_machine_with_another_gpu(
    monkeypatch: pytest.MonkeyPatch, driver: str | None, said: bool
) -> None:
    parts = [Part("driver", driver, "install it"), Part("CuPy", None, "pip install it")]
    monkeypatch.setattr(spaces, "cuda_parts", lambda: parts)
    monkeypatch.setattr(spaces, "other_gpus", lambda: ("AMD", "Intel"))
    with pytest.raises(kk.SpaceError) as raised:
        spaces.check_space("cuda")
    words = "it has a GPU of AMD and Intel, but only NVIDIA GPUs are supported"
    assert (words in str(raised.value)) == said
    assert str(raised.value).endswith("; or use --space openmp")
