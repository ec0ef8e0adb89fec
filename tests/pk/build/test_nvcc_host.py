"""The host compiler of nvcc: one that nvcc supports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build import find_runtime
from kkspdnn.pk.build.nvcc import Nvcc
from kkspdnn.pk.build.nvcc_host import find_nvcc_host, host_refusal
from kkspdnn.pk.build.toolchain import Compiler

TOO_NEW = (
    "/usr/include/crt/host_config.h:143:2: error: #error -- unsupported GNU version! gcc versions "
    "later than 13 are not supported! The nvcc flag '-allow-unsupported-compiler' can be used to "
    "override this version check; however, using an unsupported host compiler may cause it"
)


def write_program(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


def nvcc_supporting(tmp_path: Path, *names: str, error: str = TOO_NEW) -> Nvcc:
    """Write an nvcc that accepts the host compilers with these names; others get the error."""
    cases = [f"*/{name}) exit 0;;" for name in names]
    refusing = f'echo "{error}"; echo "1 error generated"; exit 1'
    path = write_program(tmp_path / "cuda" / "nvcc", 'case "$2" in', *cases, "esac", refusing)
    return Nvcc(str(path), tmp_path, "release 12.4, V12.4.131", ("sm_90",))


@pytest.fixture
def bin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the PATH, with CXX unset."""
    monkeypatch.delenv("CXX", raising=False)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"/nowhere::{folder}")
    return folder


def write_compilers(folder: Path, names: Sequence[str]) -> Compiler:
    """Write g++ 14, which is returned, and compilers with these names."""
    for name in names:
        write_program(folder / name, f"echo {name} of {folder.name}")
    return Compiler(str(write_program(folder / "g++", "echo g++ 14")), "g++ 14")


def test_the_host_compiler_if_nvcc_supports_it(tmp_path: Path, bin: Path) -> None:
    host = write_compilers(bin, ["g++-13"])
    assert find_nvcc_host(nvcc_supporting(tmp_path, "g++", "g++-13"), host) is host


@pytest.mark.parametrize("newest", [9, 12, 13])
def test_the_newest_compiler_that_nvcc_supports(tmp_path: Path, bin: Path, newest: int) -> None:
    others = [f"g++-{number}" for number in (9, 12, 13, 14)]
    host = write_compilers(bin, [*others, "g++-x", "x86_64-linux-gnu-g++-13", "g++-13.1"])
    (bin / "g++-11").write_text("no program")
    supported = [f"g++-{number}" for number in (9, 11, 12, 13) if number <= newest]
    compiler = find_nvcc_host(nvcc_supporting(tmp_path, *supported), host)
    assert compiler.path == str(bin / f"g++-{newest}")
    # The cache key contains the version.
    assert compiler.version == f"g++-{newest} of bin"


def test_the_user_s_options_are_passed_to_nvcc(tmp_path: Path, bin: Path) -> None:
    host = write_compilers(bin, ["g++-13"])
    host = Compiler(host.path, host.version, ("-B/x", "-w"))
    nvcc = nvcc_supporting(tmp_path)
    write_program(Path(nvcc.path), f'[ "$2 $3 $4" = "{bin}/g++-13 -Xcompiler -B/x,-w" ]')
    assert find_nvcc_host(nvcc, host).user_options == host.user_options


def test_cxx_is_not_replaced(tmp_path: Path, bin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = write_compilers(bin, ["g++-13"])
    monkeypatch.setenv("CXX", "g++")
    with pytest.raises(ToolchainError) as caught:
        find_nvcc_host(nvcc_supporting(tmp_path, "g++-13"), host)
    assert str(caught.value) == (
        f"{tmp_path}/cuda/nvcc (release 12.4, V12.4.131) refuses {bin}/g++ (g++ 14): unsupported "
        "GNU version! gcc versions later than 13 are not supported; set CXX to a compiler that it "
        "supports, or unset CXX"
    )


def test_no_supported_compiler(tmp_path: Path, bin: Path) -> None:
    error = (
        "error: #error -- unsupported clang version! The version must be less than 18 . The nvcc"
    )
    host = write_compilers(bin, ["g++-14", "g++-15"])
    nvcc = nvcc_supporting(tmp_path, error=f"{error} flag may cause it")
    with pytest.raises(ToolchainError, match=r"must be less than 18; install an older g\+\+ \(Deb"):
        find_nvcc_host(nvcc, host)
    nvcc = nvcc_supporting(tmp_path, error="nvcc fatal: out of luck")
    assert host_refusal(nvcc, host) == (
        f"{nvcc.path} (release 12.4, V12.4.131) with {host.path} failed: 1 error generated"
    )


def test_a_driver_too_old_for_the_toolkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is refused before anything is compiled; compiling for an --arch needs no driver."""
    monkeypatch.setenv("KKSPDNN_CACHE", str(tmp_path / "cache"))
    nvcc = Nvcc("nvcc", tmp_path, "release 13.0, V13.0.88", ("sm_75", "sm_90"))
    monkeypatch.setattr(find_runtime, "find_nvcc", lambda: nvcc)
    monkeypatch.setattr(find_runtime, "find_nvcc_host", lambda _, host: host)
    monkeypatch.setattr(find_runtime, "driver_version", lambda: (12, 4))
    find = find_runtime._find_for_gpu.__wrapped__
    with pytest.raises(ToolchainError, match=r"of CUDA 13.0, and the driver runs up to CUDA 12.4"):
        find("sm_90", exact=False)
    # This nvcc has neither code nor PTX for sm_70, so that nothing is built.
    with pytest.raises(ToolchainError, match="does not compile for sm_70, .* CUDA 12"):
        find("sm_70", exact=True)
