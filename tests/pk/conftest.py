"""The tests of the built-in compiler share one cache, KKSPDNN_CACHE or that of the user, so that
Kokkos is built once for all tests and all later runs."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import ModuleType

import pytest
from on_gpu import PATTERNS, copying, skip_unless_here

os.environ["KKSPDNN_PK"] = "builtin"

from kkspdnn.pk import provide_pykokkos
from kkspdnn.pk.build.find_runtime import find_runtime_library
from kkspdnn.pk.policy import ExecutionSpace

provide_pykokkos()

_numbers = count()


@pytest.fixture(params=ExecutionSpace, ids=lambda s: s.value)
def space(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ExecutionSpace:
    """Each execution space of the compiler; skips if this machine lacks it."""
    chosen: ExecutionSpace = request.param
    if chosen is ExecutionSpace.Cuda:
        skip_unless_here("cuda")
        pk = provide_pykokkos()
        for name in PATTERNS:
            monkeypatch.setattr(pk, name, copying(getattr(pk, name)))
    return chosen


@pytest.fixture
def no_installed_kokkos(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset the variables that lead to an installed Kokkos."""
    for each in (ExecutionSpace.OpenMP, ExecutionSpace.Serial):
        find_runtime_library(each)  # Also finds the user's Kokkos, once in the process.
    for variable in ("Kokkos_DIR", "Kokkos_ROOT", "KOKKOS_ROOT", "CMAKE_PREFIX_PATH"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Callable[..., ModuleType]]:
    """Write text to a file of workunits and import it."""
    names = []

    def load(text: str, file: str = "kernels.py") -> ModuleType:
        path = tmp_path / file
        path.write_text(text, encoding="utf-8")
        name = f"workunits_of_a_test_{next(_numbers)}"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        names.append(name)
        spec.loader.exec_module(module)
        return module

    yield load
    for name in names:
        del sys.modules[name]
