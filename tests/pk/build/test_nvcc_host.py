"""Which host compiler nvcc compiles with: one that it takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build import runtime_library
from kkspdnn.pk.build.nvcc import Nvcc
from kkspdnn.pk.build.nvcc_host import nvcc_host, refusal
from kkspdnn.pk.build.toolchain import Compiler

TOO_NEW = (
    "/usr/include/crt/host_config.h:143:2: error: #error -- unsupported GNU version! gcc versions "
    "later than 13 are not supported! The nvcc flag '-allow-unsupported-compiler' can be used to "
    "override this version check; however, using an unsupported host compiler may cause it"
)


def program(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


def taking(tmp_path: Path, *names: str, said: str = TOO_NEW) -> Nvcc:
    """An nvcc that takes the host compilers with these names only, and says so of others."""
    cases = [f"*/{name}) exit 0;;" for name in names]
    refusing = f'echo "{said}"; echo "1 error generated"; exit 1'
    path = program(tmp_path / "cuda" / "nvcc", 'case "$2" in', *cases, "esac", refusing)
    return Nvcc(str(path), tmp_path, "release 12.4, V12.4.131", ("sm_90",))


@pytest.fixture
def bin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH but for the shell's own programs, without CXX."""
    monkeypatch.delenv("CXX", raising=False)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"/nowhere::{folder}")
    return folder


def gxx(folder: Path, names: Sequence[str]) -> Compiler:
    """g++ 14, and others with these names."""
    for name in names:
        program(folder / name, f"echo {name} of {folder.name}")
    return Compiler(str(program(folder / "g++", "echo g++ 14")), "g++ 14")


def test_the_usual_one_where_nvcc_takes_it(tmp_path: Path, bin: Path) -> None:
    host = gxx(bin, ["g++-13"])
    assert nvcc_host(taking(tmp_path, "g++", "g++-13"), host) is host


@pytest.mark.parametrize("newest_taken", [9, 12, 13])
def test_else_the_newest_that_it_takes(tmp_path: Path, bin: Path, newest_taken: int) -> None:
    others = [f"g++-{number}" for number in (9, 12, 13, 14)]
    host = gxx(bin, [*others, "g++-x", "x86_64-linux-gnu-g++-13", "g++-13.1"])
    (bin / "g++-11").write_text("no program")
    taken = [f"g++-{number}" for number in (9, 11, 12, 13) if number <= newest_taken]
    found = nvcc_host(taking(tmp_path, *taken), host)
    assert found.path == str(bin / f"g++-{newest_taken}")
    # What the cache key has of it.
    assert found.version == f"g++-{newest_taken} of bin"


def test_the_user_s_options_go_with_it(tmp_path: Path, bin: Path) -> None:
    host = gxx(bin, ["g++-13"])
    host = Compiler(host.path, host.version, ("-B/x", "-w"))
    nvcc = taking(tmp_path)
    program(Path(nvcc.path), f'[ "$2 $3 $4" = "{bin}/g++-13 -Xcompiler -B/x,-w" ]')
    assert nvcc_host(nvcc, host).extra == host.extra


def test_no_substitute_for_cxx(tmp_path: Path, bin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = gxx(bin, ["g++-13"])
    monkeypatch.setenv("CXX", "g++")
    with pytest.raises(ToolchainError) as caught:
        nvcc_host(taking(tmp_path, "g++-13"), host)
    assert str(caught.value) == (
        f"{tmp_path}/cuda/nvcc (release 12.4, V12.4.131) refuses {bin}/g++ (g++ 14): unsupported "
        "GNU version! gcc versions later than 13 are not supported; set CXX to a compiler that it "
        "takes, or unset CXX"
    )


def test_none_that_it_takes(tmp_path: Path, bin: Path) -> None:
    said = "error: #error -- unsupported clang version! The version must be less than 18 . The nvcc"
    host = gxx(bin, ["g++-14", "g++-15"])
    nvcc = taking(tmp_path, said=f"{said} flag may cause it")
    with pytest.raises(ToolchainError, match=r"must be less than 18; install an older g\+\+ \(Deb"):
        nvcc_host(nvcc, host)
    nvcc = taking(tmp_path, said="nvcc fatal: out of luck")
    assert refusal(nvcc, host) == (
        f"{nvcc.path} (release 12.4, V12.4.131) with {host.path} failed: 1 error generated"
    )


def test_a_driver_too_old_for_the_toolkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is refused before anything is compiled; compiling ahead is for any driver."""
    monkeypatch.setenv("KKSPDNN_CACHE", str(tmp_path / "cache"))
    nvcc = Nvcc("nvcc", tmp_path, "release 13.0, V13.0.88", ("sm_75", "sm_90"))
    monkeypatch.setattr(runtime_library, "find_nvcc", lambda: nvcc)
    monkeypatch.setattr(runtime_library, "nvcc_host", lambda _, host: host)
    monkeypatch.setattr(runtime_library, "driver_version", lambda: (12, 4))
    find = runtime_library._gpu_toolkit.__wrapped__
    with pytest.raises(ToolchainError, match=r"of CUDA 13.0, and the driver runs up to CUDA 12.4"):
        find("sm_90", exactly=False)
    # For which this nvcc has neither code nor PTX, so that nothing is built.
    with pytest.raises(ToolchainError, match="does not compile for sm_70, .* CUDA 12"):
        find("sm_70", exactly=True)
