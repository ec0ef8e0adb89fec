"""With nvcc and no GPU: every workunit compiles and links, for two architectures."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pykokkos as pk
import pytest

from kkspdnn.pk.dispatch import generate
from kkspdnn.pk.emit import Generated
from kkspdnn.pk.nvcc import nvcc_path
from kkspdnn.pk.runtime_library import toolkit
from kkspdnn.pk.toolchain import usable_cores
from kkspdnn.pk.toolkit import Toolkit
from kkspdnn.rehearsal import engine_launches

from . import kernels

pytestmark = pytest.mark.skipif(nvcc_path() is None, reason="no nvcc, see kkspdnn info")

ARCHITECTURES = ("sm_80", "sm_90")

OWN = ("functions", "mathematics", "team_sums", "team_reduction", "atomics", "running_sum")
"""Of the language's tests: constructs that the engines' workunits do not have."""


def together(units: list[Generated]) -> Generated:
    """All of these in one file, each in a namespace: Kokkos' headers, most of the work, are read
    once. The launch of unit n is called kkspdnn_launch_n."""
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


def test_every_workunit_compiles_and_links() -> None:
    """Loading needs neither driver nor device, and every symbol."""
    kits = [toolkit(pk.Cuda, arch) for arch in ARCHITECTURES]

    def compiled(kit: Toolkit, arch: str, dtype: str) -> Path:
        assert f"-arch={arch}" in kit.compile
        launches = engine_launches("cuda", np.dtype(dtype)).values()
        units = [generate(*launched) for launched in launches]
        units += [generate(getattr(kernels, name), pk.Cuda) for name in OWN]
        library = kit.workunit(together(units))
        assert len(units) > len(OWN)
        given = [*map(str, kit.libraries), str(library), str(len(units))]
        subprocess.run([sys.executable, "-c", LOADING, *given], check=True)
        return library

    with ThreadPoolExecutor(usable_cores()) as pool:
        libraries = list(pool.map(compiled, kits, ARCHITECTURES, ("float32", "float64")))
    assert len(set(libraries)) == len(kits)


def test_another_architecture_is_another_entry() -> None:
    """Of the cache, for Kokkos, the runtime library and a workunit."""
    kits = [toolkit(pk.Cuda, arch) for arch in ARCHITECTURES]
    text = generate(kernels.running_sum, pk.Cuda)
    for one, other in (
        [kit.kokkos.config for kit in kits],
        [kit.library for kit in kits],
        [kit.workunit(text) for kit in kits],
    ):
        assert isinstance(one, Path)
        assert one != other
