"""The engines' workunits are part of the package, whatever else has their names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import kkspdnn
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


def test_inside_the_package() -> None:
    """What is installed adds no package `workunits` beside the user's own."""
    assert Path(fused.__file__) == HOME / "kkspdnn" / "workunits" / "fused.py"


def test_a_package_of_the_user_s_with_that_name(tmp_path: Path) -> None:
    """It stays what the user's own code imports."""
    own = tmp_path / "workunits"
    own.mkdir()
    (own / "__init__.py").write_text("")
    (own / "mine.py").write_text("x = 'mine'\n")
    assert python(tmp_path, "-m", "kkspdnn", *SMALL, "--quiet").returncode == 0
    script = "import kkspdnn as kk; kk.infer(kk.radixnet(64, 2), kk.images(64, 10))\n"
    done = python(tmp_path, "-c", script + "import workunits.mine; print(workunits.mine.x)")
    assert (done.stdout, done.stderr) == ("mine\n", "")


@pytest.mark.parametrize("inner", ["pykokkos/pykokkos", "pykokkos/docs", "pykokkos"])
def test_a_folder_with_the_name_of_pykokkos(tmp_path: Path, inner: str) -> None:
    """As of a clone of its repository: no package."""
    (tmp_path / inner).mkdir(parents=True)
    if inner == "pykokkos/pykokkos":
        (tmp_path / inner / "__init__.py").write_text("")
    script = (
        "import sys, kkspdnn as kk\nfrom kkspdnn.pk import is_installed\n"
        "if len(sys.argv) > 1: import pykokkos\n"
        "print(kk.infer(kk.radixnet(64, 2), kk.images(64, 10)).record.pk)\n"
    )
    for more in ([], ["imported first"]):
        done = python(tmp_path, "-c", script, *more)
        assert (done.stdout, done.stderr) == ("builtin\n", "")
