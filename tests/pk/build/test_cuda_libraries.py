"""All workunits compile and link for two GPU architectures; this needs nvcc, but no GPU.

The libraries are entries of the cache, so that nothing is compiled with a warm cache.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import kernels
import numpy as np
import pykokkos as pk
import pykokkos_kernels
import pytest
from fake_nvcc import write_fake_nvcc

import kkspdnn
from kkspdnn.choices import DTYPES
from kkspdnn.engines.launch_trace import engine_launches
from kkspdnn.pk.build import find_runtime, kokkos_cuda
from kkspdnn.pk.build.build_runtime import RuntimeSpec
from kkspdnn.pk.build.find_runtime import find_runtime_library
from kkspdnn.pk.build.nvcc import nvcc_path
from kkspdnn.pk.codegen.emit import Generated
from kkspdnn.pk.compiler import generate
from kkspdnn.pk.dispatch import compile_workunits
from kkspdnn.pk.frontend.workunit import Workunit
from kkspdnn.pk.signature import Form, Types
from kkspdnn.pk.types import DOUBLE, FLOAT, INT32, INT64, View

needs_nvcc = pytest.mark.skipif(nvcc_path() is None, reason="no nvcc, see kkspdnn info")

LANGUAGE_WORKUNITS = (
    "functions",
    "mathematics",
    "team_sums",
    "team_reduction",
    "atomics",
    "running_sum",
)
"""From tests/pk/kernels.py: with constructs that the engines' workunits do not use."""

SEVERAL_INDICES = (
    kernels.count_visits.in_form(Form("for", 2)),
    kernels.sum_2d.in_form(Form("reduce", 2)),
    kernels.visits_6d.in_form(Form("for", 6)),
)
"""Workunits of an MDRangePolicy, from there too."""


_VECTOR, _MATRIX, _CUBE = (View(DOUBLE, rank) for rank in (1, 2, 3))
FEW_ANNOTATIONS: tuple[tuple[Workunit, Form, Types], ...] = (
    (pykokkos_kernels.row_sums, Form("reduce", 1), (_MATRIX, _VECTOR)),
    (pykokkos_kernels.columns, Form("for", 1), (_CUBE, _MATRIX, INT32, INT32)),
    (pykokkos_kernels.mathematics, Form("for", 1), (View(FLOAT, 1), _VECTOR, _MATRIX)),
    (pykokkos_kernels.special_values, Form("for", 1), (View(FLOAT, 1), _VECTOR)),
    (pykokkos_kernels.conversions, Form("for", 1), (View(INT64, 1), _MATRIX)),
    (
        pykokkos_kernels.team_sums,
        Form("reduce", 0),
        (INT32, INT32, _MATRIX, _MATRIX, _CUBE),
    ),
    (pykokkos_kernels.scratch_kinds, Form("for", 0), ()),
    (pykokkos_kernels.outer_sums, Form("for", 0), (_CUBE, _MATRIX, _VECTOR, INT32, INT32)),
    (pykokkos_kernels.atomics, Form("for", 1), ()),
    (pykokkos_kernels.report, Form("for", 1), (_VECTOR, INT64)),
    (pykokkos_kernels.through_functions, Form("for", 1), (_VECTOR,)),
    (pykokkos_kernels.scratch_through_functions, Form("for", 0), ()),
    (pykokkos_kernels.loops_over_extents, Form("for", 0), ()),
    (pykokkos_kernels.counts, Form("for", 1), ()),
    (pykokkos_kernels.sums, Form("reduce", 1), ()),
)
"""Workunits as users of PyKokkos write them, with the types of some launch."""


def combined(units: list[Generated]) -> Generated:
    """All units in one file, each in a namespace; the launch of unit n is kkspdnn_launch_n, and its
    count of registers kkspdnn_registers_n.

    Kokkos's headers, which take most of the time, are then read once: one unit takes 13 s of CPU
    time, 24 units in one file take 31 s.
    """
    lines = [line for unit in units for line in unit.text.splitlines()]
    text = list(dict.fromkeys(line for line in lines if line.startswith("#include")))
    for number, unit in enumerate(units):
        body = [line for line in unit.text.splitlines() if not line.startswith("#include")]
        names = ("kkspdnn_launch", "kkspdnn_registers")
        text += [f"#define {name} {name}_{number}" for name in names]
        text += [f"namespace unit_{number} {{", *body, "}", *(f"#undef {name}" for name in names)]
    return replace(units[0], text="\n".join(text) + "\n")


LOADING = """
import ctypes, sys
*runtime_libraries, library, count = sys.argv[1:]
# Workunits need the symbols of the runtime library, and that needs those of Kokkos.
assert [ctypes.CDLL(each) for each in runtime_libraries][-1].kkspdnn_kokkos_version() >= 30400
loaded = ctypes.CDLL(library)
assert all(loaded[f"kkspdnn_launch_{number}"] for number in range(int(count)))
"""
"""Runs in a new process: in this process, the first Kokkos that is loaded would be used for both
architectures, and for later tests on a GPU."""


@needs_nvcc
@pytest.mark.parametrize("arch", [pytest.param("sm_80", marks=pytest.mark.slow), "sm_90"])
def test_every_workunit_compiles_and_links(arch: str) -> None:
    """Loading resolves all symbols, and needs neither driver nor device."""
    runtime_library = find_runtime_library(pk.Cuda, arch)
    assert f"-arch={arch}" in runtime_library.compile_command
    # Workunits without floats are equal for both dtypes and are compiled once.
    units_of: dict[str, list[Generated]] = {}
    seen = set[str]()
    for dtype in DTYPES:
        units = [generate(*each) for each in engine_launches("cuda", np.dtype(dtype)).values()]
        units_of[dtype] = [unit for unit in units if unit.text not in seen]
        seen |= {unit.text for unit in units}
    assert all(len(units) > 9 for units in units_of.values())
    units_of["float64"] += [
        generate(getattr(kernels, name), pk.Cuda) for name in LANGUAGE_WORKUNITS
    ]
    units_of["float64"] += [generate(workunit, pk.Cuda) for workunit in SEVERAL_INDICES]
    units_of["float32"] += [
        generate(workunit.in_form(form), pk.Cuda, types)
        for workunit, form, types in FEW_ANNOTATIONS
    ]
    jobs = [(runtime_library, combined(units)) for units in units_of.values()]
    for library, units in zip(compile_workunits(jobs), units_of.values(), strict=True):
        arguments = [*map(str, runtime_library.load_order), str(library), str(len(units))]
        subprocess.run([sys.executable, "-c", LOADING, *arguments], check=True)


@needs_nvcc
def test_a_cached_library_is_found_without_running_nvcc(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A build checks whether nvcc supports the host compiler; a start from the cache need not."""
    runtime_library = find_runtime_library(pk.Cuda, "sm_90")
    tried: list[str] = []
    monkeypatch.setattr(find_runtime, "find_nvcc_host", lambda nvcc, host: tried.append(host.path))
    for exact in (False, True):
        assert find_runtime._find_for_gpu.__wrapped__("sm_90", exact) == runtime_library
    assert tried == []


FINDING = """
import sys
sys.path.insert(0, sys.argv[1])
from kkspdnn.pk import provide_pykokkos
provide_pykokkos()
import pykokkos as pk
import kernels
from kkspdnn.pk.compiler import generate
from kkspdnn.pk.build.find_runtime import find_runtime_library
runtime_library = find_runtime_library(pk.Cuda)
print(runtime_library.compiled_by)
print(runtime_library.compile_workunit(generate(kernels.running_sum, pk.Cuda)))
runtime_library.load()
"""


@needs_nvcc
@pytest.mark.slow
def test_a_copied_cache_on_a_machine_with_another_cuda(tmp_path: Path, fake_driver: Path) -> None:
    """The other nvcc cannot compile, and Kokkos is not in the copied cache."""
    runtime_library = find_runtime_library(pk.Cuda, "sm_90")
    library = runtime_library.compile_workunit(generate(kernels.running_sum, pk.Cuda))
    cache = tmp_path / "cache"
    for entry in (runtime_library.folder, library.parent):
        shutil.copytree(entry, cache / entry.parent.name / entry.name, symlinks=True)
    cache.chmod(0o700)
    write_fake_nvcc(tmp_path / "cuda", "release 13.9, V13.9.1")
    variables = {
        "KKSPDNN_CACHE": str(cache),
        "CUDA_HOME": str(tmp_path / "cuda"),
        "LD_LIBRARY_PATH": str(fake_driver),
        "FAKE_GPUS": "0",
        "PYTHONPATH": str(Path(kkspdnn.__file__).parents[1]),
    }
    done = subprocess.run(
        [sys.executable, "-c", FINDING, str(Path(kernels.__file__).parent)],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    compiled_by, path = done.stdout.splitlines()
    assert compiled_by == runtime_library.compiled_by != "nvcc release 13.9, V13.9.1"
    assert Path(path) == cache / "workunits" / library.parent.name / library.name


def test_the_architecture_is_in_the_keys() -> None:
    """Those of Kokkos and the runtime library, whose entry is in the key of a workunit."""
    contents = [kokkos_cuda.key_content(arch) for arch in ("sm_80", "sm_90")]
    assert contents[0] != contents[1]
    specs = [RuntimeSpec("cuda", content, arch="sm_90") for content in contents]
    one, other = (spec.query(None, None).content for spec in specs)
    assert one != other


@needs_nvcc
@pytest.mark.slow
def test_architectures_have_different_entries() -> None:
    """For Kokkos, the runtime library and a workunit."""
    libraries = [find_runtime_library(pk.Cuda, arch) for arch in ("sm_80", "sm_90")]
    text = generate(kernels.running_sum, pk.Cuda)
    for one, other in (
        [library.kokkos.config for library in libraries],
        [library.path for library in libraries],
        [library.compile_workunit(text) for library in libraries],
    ):
        assert isinstance(one, Path)
        assert one != other
