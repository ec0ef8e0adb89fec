"""Workunits with the checks of debug mode compile for a GPU and link; no GPU is needed."""

from __future__ import annotations

import subprocess
import sys

import debug_kernels
import kernels
import numpy as np
import pykokkos as pk
import pytest
from test_cuda_libraries import LANGUAGE_WORKUNITS, LOADING, combined, needs_nvcc

from kkspdnn.engines.launch_trace import engine_launches
from kkspdnn.pk.build.find_runtime import find_runtime_library
from kkspdnn.pk.compiler import generate
from kkspdnn.pk.dispatch import compile_workunits


@needs_nvcc
@pytest.mark.slow
def test_checked_workunits_compile_and_link() -> None:
    """With a kernel of a layer, whose lanes are not vectorized."""
    launches = engine_launches("cuda", np.dtype(np.float32))
    units = [
        generate(*launches["fused_equal"], debug=True),
        *(generate(getattr(kernels, name), pk.Cuda, debug=True) for name in LANGUAGE_WORKUNITS),
        generate(kernels.control_flow, pk.Cuda, debug=True),
        generate(debug_kernels.scratch, pk.Cuda, debug=True),
        generate(debug_kernels.atomic_divisions, pk.Cuda, debug=True),
    ]
    runtime_library = find_runtime_library(pk.Cuda, "sm_90")
    (library,) = compile_workunits([(runtime_library, combined(units))])
    arguments = [*map(str, runtime_library.load_order), str(library), str(len(units))]
    subprocess.run([sys.executable, "-c", LOADING, *arguments], check=True)
