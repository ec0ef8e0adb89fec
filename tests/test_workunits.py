"""The workunits of the engines are in the package, whatever other packages are called workunits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import kkspdnn
from kkspdnn import workunits
from kkspdnn.pk.build.cache import default_cache
from kkspdnn.workunits import fused

HOME = Path(kkspdnn.__path__[0]).parent
SMALL = ["--neurons", "64", "--layers", "4", "--inputs", "300"]


def python(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, "PYTHONPATH": str(HOME), "KKSPDNN_CACHE": str(default_cache().root)}
    given.pop("KKSPDNN_PK", None)
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=given,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def test_workunits_are_in_the_package() -> None:
    """An installation adds no top-level package `workunits`."""
    assert Path(fused.__file__) == HOME / "kkspdnn" / "workunits" / "fused.py"


def imported(tmp_path: Path, before: str) -> tuple[list[str], str]:
    """Import the workunits in a new process where `import pykokkos` fails; return the names of
    their modules, and what `pykokkos` is afterwards."""
    (tmp_path / "pykokkos.py").write_text("raise RuntimeError('imported')\n")
    script = (
        f"import sys\n{before}\nimport kkspdnn.workunits\n"
        "start = 'kkspdnn.workunits.'\n"
        "print(*(name.removeprefix(start) for name in sys.modules if name.startswith(start)))\n"
        "print(sys.modules.get('pykokkos'))\n"
    )
    done = python(tmp_path, "-c", script)
    assert done.stderr == ""
    names, pykokkos = done.stdout.splitlines()
    return names.split(), pykokkos


def test_all_workunits_are_imported(tmp_path: Path) -> None:
    """So that no later import of one imports PyKokkos."""
    files = {file.stem for file in (HOME / "kkspdnn" / "workunits").glob("*.py")} - {"__init__"}
    names, _ = imported(tmp_path, "")
    assert set(names) == files
    assert sorted(workunits.__all__) == sorted(files)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "None"),
        ("sys.modules['pykokkos'] = 'that of the program'", "that of the program"),
    ],
)
def test_the_workunits_leave_pykokkos_alone(tmp_path: Path, before: str, after: str) -> None:
    assert imported(tmp_path, before)[1] == after


@pytest.mark.slow
def test_a_package_workunits_of_the_user(tmp_path: Path) -> None:
    """The code of the user imports it, and kkspdnn does not."""
    own = tmp_path / "workunits"
    own.mkdir()
    (own / "__init__.py").write_text("")
    (own / "mine.py").write_text("x = 'mine'\n")
    assert python(tmp_path, "-m", "kkspdnn", *SMALL, "--quiet").returncode == 0
    script = "import kkspdnn as kk; kk.infer(kk.radixnet(64, 2), kk.images(64, 10))\n"
    done = python(tmp_path, "-c", script + "import workunits.mine; print(workunits.mine.x)")
    assert (done.stdout, done.stderr) == ("mine\n", "")


@pytest.mark.slow
@pytest.mark.parametrize("inner", ["pykokkos/pykokkos", "pykokkos/docs", "pykokkos"])
def test_a_folder_named_pykokkos(tmp_path: Path, inner: str) -> None:
    """A folder, such as a clone of the repository, is not the package PyKokkos."""
    (tmp_path / inner).mkdir(parents=True)
    if inner == "pykokkos/pykokkos":
        (tmp_path / inner / "__init__.py").write_text("")
    script = (
        "import sys, kkspdnn as kk\nfrom kkspdnn.pk.installed.requirements import is_installed\n"
        "if len(sys.argv) > 1: import pykokkos\n"
        "print(kk.infer(kk.radixnet(64, 2), kk.images(64, 10)).record.pk)\n"
    )
    for more in ([], ["imported first"]):
        done = python(tmp_path, "-c", script, *more)
        assert (done.stdout, done.stderr) == ("builtin\n", "")
