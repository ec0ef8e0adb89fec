"""With nvcc and no GPU: every workunit compiles and links, for two architectures."""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pykokkos as pk
import pytest

from kkspdnn.pk.dispatch import generate
from kkspdnn.pk.nvcc import nvcc_path
from kkspdnn.pk.runtime import toolkit
from kkspdnn.pk.toolchain import usable_cores
from kkspdnn.rehearsal import engine_launches

from . import kernels

pytestmark = pytest.mark.skipif(nvcc_path() is None, reason="no nvcc, see kkspdnn info")

OWN = ("functions", "mathematics", "team_sums", "team_reduction", "atomics", "running_sum")
"""Of the language's tests: constructs that the engines' workunits do not have."""


@pytest.mark.parametrize(("arch", "dtype"), [("sm_80", "float32"), ("sm_90", "float64")])
def test_every_workunit_compiles_and_links(arch: str, dtype: str) -> None:
    """Loading needs neither driver nor device, and every symbol."""
    kit = toolkit(pk.Cuda, arch)
    assert f"-arch={arch}" in kit.compile
    launches = list(engine_launches("cuda", np.dtype(dtype)).values())
    texts = [generate(*launched) for launched in launches]
    texts += [generate(getattr(kernels, name), pk.Cuda) for name in OWN]
    with ThreadPoolExecutor(usable_cores()) as pool:
        libraries = list(pool.map(kit.workunit, texts))
    assert len(set(libraries)) == len(texts) > len(OWN)
    runtime = ctypes.CDLL(str(kit.library))
    assert runtime.kkspdnn_kokkos_version() >= 30400
    for library in libraries:
        assert ctypes.CDLL(str(library)).kkspdnn_launch


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
