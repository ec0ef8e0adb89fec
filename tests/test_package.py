"""The public names, imported on first use."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import kkspdnn as kk
from kkspdnn.version import own_version


def test_type_checkers_and_python_see_the_same_names() -> None:
    tree = ast.parse(Path(kk.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    mapped = {name: f"kkspdnn.{module}" for module, names in kk._MODULES.items() for name in names}
    assert mapped == seen
    assert sorted(seen) == sorted(kk.__all__)


def test_every_public_name_is_there() -> None:
    for name in kk.__all__:
        assert getattr(kk, name).__name__ == name
    assert set(dir(kk)) >= set(kk.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        kk.nothing  # noqa: B018


def test_the_version() -> None:
    """That of the installed distribution, if there is one."""
    assert kk.__version__ == own_version()
    assert "__version__" in dir(kk)


def test_functions_do_not_become_modules() -> None:
    """Importing a module must not replace a function of the same name in the package."""
    script = (
        "import importlib, pkgutil, kkspdnn as kk\n"
        "for found in pkgutil.iter_modules(kk.__path__):\n"
        "    assert found.name not in kk.__all__, found.name\n"
        "assert callable(kk.network) and callable(kk.images) and callable(kk.reference)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_importing_the_package_loads_neither_numpy_nor_scipy() -> None:
    script = (
        "import sys, kkspdnn\n"
        "heavy = {'numpy', 'scipy', 'psutil', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_all_packages_are_installed() -> None:
    """setuptools installs the packages that pyproject.toml lists, and no others."""
    root = Path(kk.__file__).parent
    found = {each.parent.relative_to(root.parent) for each in root.rglob("__init__.py")}
    packages = {".".join(each.parts) for each in found} | {"kkspdnn.workunits"}
    project = root.parent / "pyproject.toml"
    if not project.is_file():
        pytest.skip("no pyproject.toml beside an installed package")
    block = re.search(r"^packages = \[(.*?)^\]", project.read_text(), re.DOTALL | re.MULTILINE)
    assert block is not None
    assert re.findall(r'"([^"]+)"', block[1]) == sorted(packages)
