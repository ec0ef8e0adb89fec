"""The implementation of PyKokkos that a process uses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import kkspdnn.pk

PROGRAM = """
from kkspdnn.errors import KkspdnnError
from kkspdnn.pk import active_implementation, provide_pykokkos
try:
    first = active_implementation()
    provided = provide_pykokkos()
    import pykokkos
    print(first, active_implementation(), provided is pykokkos, pykokkos.__name__)
except KkspdnnError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("requested", "installed", "output"),
    [
        ("", False, "builtin builtin True kkspdnn.pk.language"),
        ("builtin", False, "builtin builtin True kkspdnn.pk.language"),
        ("builtin", True, "builtin builtin True kkspdnn.pk.language"),
        ("", True, "builtin builtin True kkspdnn.pk.language"),
        ("pykokkos", True, "KKSPDNN_PK=pykokkos: PyKokkos needs pykokkos-base"),
        ("pykokkos", False, "KKSPDNN_PK=pykokkos, but PyKokkos is not installed here; unset it"),
        ("other", False, "KKSPDNN_PK=other: set it to builtin or pykokkos, or unset it"),
    ],
)
def test_active_implementation(
    tmp_path: Path, requested: str, installed: bool, output: str
) -> None:
    """An installed PyKokkos has none of its requirements here; `installed/test_start.py` has one
    with all of them."""
    if installed:
        (tmp_path / "pykokkos.py").write_text("")
    folders = [str(tmp_path), str(Path(kkspdnn.__path__[0]).parent)]
    environment = {**os.environ, "KKSPDNN_PK": requested, "PYTHONPATH": os.pathsep.join(folders)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith(output)
    assert done.stdout.count("\n") == 1
    warned = installed and not requested
    assert done.stderr.startswith("PyKokkos needs pykokkos-base" if warned else "")
    assert done.stderr.count("\n") == warned


def test_importing_does_no_work(tmp_path: Path) -> None:
    """Before the first launch, no compiler is searched and no folder is made."""
    program = (
        "from kkspdnn.pk import provide_pykokkos; provide_pykokkos()\nimport pykokkos as pk\n"
        "import sys; sys.path.insert(0, sys.argv[1]); import kernels\n"
    )
    environment = {**os.environ, "PATH": "/nowhere", "KKSPDNN_CACHE": str(tmp_path / "cache")}
    environment["PYTHONPATH"] = str(Path(kkspdnn.__path__[0]).parent)
    command = [sys.executable, "-c", program, str(Path(__file__).parent)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (tmp_path / "cache").exists()


def test_all_names_of_the_language_exist() -> None:
    import pykokkos as pk

    assert sorted(pk.__all__) == sorted(set(pk.__all__))
    for name in pk.__all__:
        assert hasattr(pk, name), name
