"""With nvcc and no GPU: every workunit compiles and links, for two architectures.

The libraries are entries of the cache as any other: with a warm cache nothing is compiled.
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
import pytest
from fake_nvcc import write_fake_nvcc

import kkspdnn
from kkspdnn.choices import DTYPES
from kkspdnn.engines.launch_trace import engine_launches
from kkspdnn.pk.build import kokkos_cuda, runtime_library
from kkspdnn.pk.build.nvcc import nvcc_path
from kkspdnn.pk.build.runtime_library import _Plan, toolkit
from kkspdnn.pk.codegen.emit import Generated
from kkspdnn.pk.compiler import generate
from kkspdnn.pk.dispatch import compile_workunits

needs_nvcc = pytest.mark.skipif(nvcc_path() is None, reason="no nvcc, see kkspdnn info")

OWN = ("functions", "mathematics", "team_sums", "team_reduction", "atomics", "running_sum")
"""Of the language's tests: constructs that the engines' workunits do not have."""


def together(units: list[Generated]) -> Generated:
    """All of these in one file, each in a namespace: Kokkos' headers, most of the work, are read
    once. The launch of unit n is called kkspdnn_launch_n.

    One alone takes 13 s of processor time, 24 in one file take 31 s."""
    lines = [line for unit in units for line in unit.text.splitlines()]
    parts = list(dict.fromkeys(line for line in lines if line.startswith("#include")))
    for number, unit in enumerate(units):
        body = [line for line in unit.text.splitlines() if not line.startswith("#include")]
        parts += [f"#define kkspdnn_launch kkspdnn_launch_{number}", f"namespace unit_{number} {{"]
        parts += [*body, "}", "#undef kkspdnn_launch"]
    return replace(units[0], text="\n".join(parts) + "\n")


LOADING = """
import ctypes, sys
*runtime, library, count = sys.argv[1:]
# The runtime library first, and before it Kokkos': workunits need its symbols.
assert [ctypes.CDLL(each) for each in runtime][-1].kkspdnn_kokkos_version() >= 30400
loaded = ctypes.CDLL(library)
assert all(loaded[f"kkspdnn_launch_{number}"] for number in range(int(count)))
"""
"""In a process of its own: in one process the first Kokkos would serve both architectures, and the
tests on a GPU after this one."""


@needs_nvcc
@pytest.mark.parametrize("arch", [pytest.param("sm_80", marks=pytest.mark.slow), "sm_90"])
def test_every_workunit_compiles_and_links(arch: str) -> None:
    """Loading needs neither driver nor device, and every symbol."""
    kit = toolkit(pk.Cuda, arch)
    assert f"-arch={arch}" in kit.compile
    # Those without floats are the same for both dtypes, and compiled once.
    parts: dict[str, list[Generated]] = {}
    seen = set[str]()
    for dtype in DTYPES:
        units = [generate(*each) for each in engine_launches("cuda", np.dtype(dtype)).values()]
        parts[dtype] = [unit for unit in units if unit.text not in seen]
        seen |= {unit.text for unit in units}
    assert all(len(units) > 9 for units in parts.values())
    parts["float64"] += [generate(getattr(kernels, name), pk.Cuda) for name in OWN]
    libraries = compile_workunits([(kit, together(units)) for units in parts.values()])
    for library, units in zip(libraries, parts.values(), strict=True):
        given = [*map(str, kit.libraries), str(library), str(len(units))]
        subprocess.run([sys.executable, "-c", LOADING, *given], check=True)


@needs_nvcc
def test_what_is_in_the_cache_is_found_without_a_trial_of_nvcc(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Compiling tells that nvcc takes the host compiler; a start need not."""
    kit = toolkit(pk.Cuda, "sm_90")
    tried: list[str] = []
    monkeypatch.setattr(
        runtime_library, "find_nvcc_host", lambda nvcc, host: tried.append(host.path)
    )
    for exactly in (False, True):
        assert runtime_library._gpu_toolkit.__wrapped__("sm_90", exactly) == kit
    assert tried == []


FINDING = """
import sys
sys.path.insert(0, sys.argv[1])
from kkspdnn.pk import provide_pykokkos
provide_pykokkos()
import pykokkos as pk
import kernels
from kkspdnn.pk.compiler import generate
from kkspdnn.pk.build.runtime_library import toolkit
kit = toolkit(pk.Cuda)
print(kit.compiled_by)
print(kit.workunit(generate(kernels.running_sum, pk.Cuda)))
kit.load()
"""


@needs_nvcc
@pytest.mark.slow
def test_a_copied_cache_serves_a_gpu_with_another_cuda(tmp_path: Path, fake_driver: Path) -> None:
    """Its nvcc compiles nothing, and would find no Kokkos."""
    kit = toolkit(pk.Cuda, "sm_90")
    library = kit.workunit(generate(kernels.running_sum, pk.Cuda))
    cache = tmp_path / "cache"
    for entry in (kit.place, library.parent):
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
    made_by, found = done.stdout.splitlines()
    assert made_by == kit.compiled_by != "nvcc release 13.9, V13.9.1"
    assert Path(found) == cache / "workunits" / library.parent.name / library.name


def test_the_architecture_is_in_the_keys() -> None:
    """Of Kokkos and the runtime library, whose entry's name is part of a workunit's key."""
    contents = [kokkos_cuda.content(arch) for arch in ("sm_80", "sm_90")]
    assert contents[0] != contents[1]
    plans = [_Plan("cuda", content, arch="sm_90") for content in contents]
    one, other = (plan.wanted(None, None).content for plan in plans)
    assert one != other


@needs_nvcc
@pytest.mark.slow
def test_another_architecture_is_another_entry() -> None:
    """Of the cache, for Kokkos, the runtime library and a workunit."""
    kits = [toolkit(pk.Cuda, arch) for arch in ("sm_80", "sm_90")]
    text = generate(kernels.running_sum, pk.Cuda)
    for one, other in (
        [kit.kokkos.config for kit in kits],
        [kit.library for kit in kits],
        [kit.workunit(text) for kit in kits],
    ):
        assert isinstance(one, Path)
        assert one != other
