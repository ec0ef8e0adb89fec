"""`import pykokkos` after `import kkspdnn`, and `from kkspdnn import pk`."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import kkspdnn
from kkspdnn.pk import language, language_as_pykokkos
from kkspdnn.pk.installed.requirements import is_installed
from kkspdnn.pykokkos_finder import PyKokkosFinder, install_finder, real_package_only

ROOT = Path(kkspdnn.__file__).parents[1]
FAKE = Path(__file__).parent / "installed" / "fake"


def run(program: str, **variables: str) -> str:
    """Return what a process prints that has no KKSPDNN_PK of its own."""
    kept = {name: value for name, value in os.environ.items() if name != "KKSPDNN_PK"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**kept, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


without_real = pytest.mark.skipif(is_installed(), reason="the real PyKokkos is installed here")

SAME = """
import sys, kkspdnn
assert "numpy" not in sys.modules
import pykokkos as pk
from pykokkos import workunit, View1D
import kkspdnn.pk.language as language
assert sys.modules["pykokkos"] is pk is language and workunit is language.workunit
assert pk.__name__ == pk.__spec__.name == "kkspdnn.pk.language"
assert pk.__spec__.loader is pk.__loader__ and pk.__spec__.origin == pk.__file__
from kkspdnn.pk.installed.requirements import is_installed, missing_requirements
assert not is_installed() and "the package pykokkos" in missing_requirements()
from importlib import metadata
try:
    metadata.version("pykokkos")
except metadata.PackageNotFoundError:
    print("no distribution")
"""


@without_real
@pytest.mark.parametrize("requested", ["", "builtin"])
def test_the_built_in_compiler_is_imported(requested: str) -> None:
    assert run(SAME, KKSPDNN_PK=requested) == "no distribution\n"


@without_real
def test_importing_again_after_the_module_was_removed() -> None:
    program = (
        "import sys, kkspdnn, pykokkos\nfirst = sys.modules.pop('pykokkos')\n"
        "import pykokkos\nprint(pykokkos is first)\n"
    )
    assert run(program) == "True\n"


REFUSED = """
import kkspdnn
try:
    import pykokkos
except ImportError as error:
    print(type(error).__name__, error)
"""


@without_real
@pytest.mark.parametrize(
    ("requested", "message"),
    [
        ("pykokkos", "KKSPDNN_PK=pykokkos, but PyKokkos is not installed here; unset it"),
        ("other", "KKSPDNN_PK=other: set it to builtin or pykokkos, or unset it"),
    ],
)
def test_an_implementation_that_cannot_be_used(requested: str, message: str) -> None:
    assert run(REFUSED, KKSPDNN_PK=requested) == f"ImportError {message}\n"


WHICH = """
import sys
if "first" in sys.argv: import pykokkos
import kkspdnn, pykokkos, kkspdnn.pk
print(pykokkos.__name__, kkspdnn.pk.installed.requirements.is_installed())
"""


def installed(tmp_path: Path, *, usable: bool) -> dict[str, str]:
    """Variables of a process in which the stand-in for the real package is installed."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "pybind11.py").write_text("")
    (tools / "patchelf").write_text("#!/bin/sh\n")
    (tools / "patchelf").chmod(0o700)
    folders = [FAKE, *([tools] if usable else []), ROOT]
    return {
        "PYTHONPATH": os.pathsep.join(map(str, folders)),
        "PATH": os.pathsep.join([str(tools), os.environ["PATH"]]),
        "PK_KOKKOS_LIB_PATH": str(FAKE / "lib" if usable else tmp_path),
    }


def test_a_real_package_that_can_be_used_is_not_shadowed(tmp_path: Path) -> None:
    variables = installed(tmp_path, usable=True)
    assert run(WHICH, **variables) == "pykokkos True\n"
    assert run(WHICH, KKSPDNN_PK="pykokkos", **variables) == "pykokkos True\n"
    assert run(WHICH, KKSPDNN_PK="builtin", **variables) == "kkspdnn.pk.language True\n"
    submodules = "import kkspdnn, pykokkos.interface.views as views\nprint(views.__name__)\n"
    assert run(submodules, **variables) == "pykokkos.interface.views\n"


def test_a_real_package_that_was_imported_first_stays(tmp_path: Path) -> None:
    program = f"import sys; sys.argv.append('first')\n{WHICH}"
    variables = installed(tmp_path, usable=True)
    assert run(program, KKSPDNN_PK="builtin", **variables) == "pykokkos True\n"


def test_a_real_package_that_cannot_be_used(tmp_path: Path) -> None:
    """A warning says what it needs."""
    program = f"import logging, sys; logging.basicConfig(stream=sys.stdout)\n{WHICH}"
    warning, line = run(program, **installed(tmp_path, usable=False)).splitlines()
    assert warning.startswith("WARNING:kkspdnn:PyKokkos needs ")
    assert line == "kkspdnn.pk.language True"


def test_the_finder_stands_aside_for_the_real_package() -> None:
    install_finder()
    install_finder()
    assert [isinstance(each, PyKokkosFinder) for each in sys.meta_path].count(True) == 1
    with real_package_only():
        assert not any(isinstance(each, PyKokkosFinder) for each in sys.meta_path)
    assert [isinstance(each, PyKokkosFinder) for each in sys.meta_path].count(True) == 1
    finder = PyKokkosFinder()
    assert finder.find_spec("numpy") is None
    assert finder.find_spec("pykokkosx") is None
    assert finder.find_spec("other.pykokkos") is None


@pytest.mark.parametrize("name", ["pykokkos.interface", "pykokkos.interface.views"])
def test_submodules_are_refused_in_one_line(name: str) -> None:
    with language_as_pykokkos(), pytest.raises(ImportError) as caught:
        importlib.import_module(name)
    assert "interface" in str(caught.value)
    assert "not a package" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "kkspdnn.pk.language.interface" not in sys.modules


def test_a_name_is_not_a_submodule() -> None:
    with language_as_pykokkos(), pytest.raises(ImportError, match=r"write import pykokkos as pk"):
        importlib.import_module("pykokkos.RangePolicy")


def test_the_module_pk_has_the_names_of_the_language() -> None:
    from kkspdnn import pk

    for name in language.__all__:
        assert getattr(pk, name) is getattr(language, name), name
        assert name in dir(pk)
    assert pk.HIP is language.HIP
    assert not hasattr(pk, "nothing_of_this_name")


def test_importing_pk_imports_neither_numpy_nor_the_compiler() -> None:
    program = (
        "import sys\nfrom kkspdnn import pk\n"
        "print({'numpy', 'kkspdnn.pk.language'} & set(sys.modules))\n"
        "pk.RangePolicy\nprint('kkspdnn.pk.language' in sys.modules)\n"
    )
    assert run(program, KKSPDNN_PK="builtin") == "set()\nTrue\n"


def test_a_submodule_of_pk_is_not_asked_of_the_language() -> None:
    program = "from kkspdnn.pk import ir\nimport sys\nprint('kkspdnn.pk.language' in sys.modules)\n"
    assert run(program, KKSPDNN_PK="builtin") == "False\n"


def test_a_warning_that_pykokkos_reads_no_cells(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, if IPython is running and the real PyKokkos is in use."""
    finder = PyKokkosFinder()
    monkeypatch.setattr("kkspdnn.pk.active_implementation", lambda: "pykokkos")
    kkspdnn.pk.warn_cells.cache_clear()
    assert finder.find_spec("pykokkos") is None
    assert caplog.messages == []
    kkspdnn.pk.warn_cells.cache_clear()
    monkeypatch.setattr("kkspdnn.pk.running_shell", object)
    assert finder.find_spec("pykokkos") is finder.find_spec("pykokkos") is None
    assert caplog.messages == [
        "PyKokkos reads workunits from files, not from cells; write `from kkspdnn import pk` for "
        "workunits in cells, or set KKSPDNN_PK=builtin"
    ]
    kkspdnn.pk.warn_cells.cache_clear()
