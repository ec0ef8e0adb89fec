"""Results do not depend on the floating-point mode that other libraries of the process set."""

from __future__ import annotations

import ctypes
import math
import shutil
import subprocess
from pathlib import Path

import pytest
from processes import script

from kkspdnn.model.ieee import ieee_arithmetic

LIBRARY = """
#if defined(__x86_64__)
#include <xmmintrin.h>
static void set(void) { _mm_setcsr(_mm_getcsr() | 0x8040); }
#elif defined(__aarch64__)
static void set(void) {
  unsigned long mode;
  __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
  __asm__ volatile("msr fpcr, %0" : : "r"(mode | 1 << 24));
}
#else
#error "no flush-to-zero here"
#endif
/* As a library does that was linked with -ffast-math (GCC's crtfastmath.o). */
__attribute__((constructor)) void flush(void) { set(); }
void flush_all(void) {
#pragma omp parallel
  set();
}
"""

CASE = """
import sys, ctypes
import numpy as np
import kkspdnn as kk

when, threads = sys.argv[2], int(sys.argv[3])

def flush(now):
    if when == now:
        library = ctypes.CDLL(sys.argv[1])
        library.flush()
        if now != "before any":
            library.flush_all()

scale = np.diag([1e-20, 1e-25, 1, 1e-40]).astype(np.float32)
rows = np.tile(np.diag([1e-20, 1e-15, 1e-40, 2]).astype(np.float32), (200, 1))
flush("before any")
net = kk.network([kk.Layer.from_sparse(w, 0.0) for w in (scale, np.eye(4, dtype=np.float32))])
flush("before Kokkos starts")
predict = kk.Predictor(net, threads=threads)
flush("later")
# Of a number of rows for which nothing was launched so far.
print(int(predict(rows[:40]).view(np.uint32).any(axis=1).sum()))
for kernel in ("fused", "spgemm"):
    result = kk.infer(net, rows, kernel=kernel, threads=threads, values=True, verify="full")
    assert result.record.verified.passed
    print(result.categories.size, result.values.nnz)
print(int(predict(rows).view(np.uint32).any(axis=1).sum()))
print(kk.reference(net, kk.Inputs.from_any(rows), dtype=np.float32).nnz)
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("needs g++ for a library that sets flush-to-zero")
    folder = tmp_path_factory.mktemp("flush")
    (folder / "flush.c").write_text(LIBRARY)
    made = folder / "flush.so"
    options = ["-x", "c", "-O1", "-fopenmp", "-shared", "-fPIC", "flush.c", "-o", str(made)]
    if subprocess.run([compiler, *options], cwd=folder, check=False).returncode != 0:
        pytest.skip("the test has no flush-to-zero for this processor")
    return made


@pytest.mark.slow
@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("when", ["never", "before any", "before Kokkos starts", "later"])
def test_a_category_of_subnormal_numbers(library: Path, when: str, threads: str) -> None:
    out, _ = script(CASE, str(library), when, threads)
    assert out == "40\n800 800\n800 800\n800\n800\n"


@pytest.mark.slow
def test_torch_that_flushes() -> None:
    pytest.importorskip("torch")
    flush = """
import torch
assert torch.set_flush_denormal(True)
"""
    text = CASE.replace('flush("later")', flush)
    out, _ = script(text, "no library", "never", "2")
    assert out == "40\n800 800\n800 800\n800\n800\n"


def product() -> float:
    return math.ldexp(1.0, -1000) * math.ldexp(1.0, -60)


def test_the_mode_is_restored(library: Path) -> None:
    """The default mode is set in the block, and the previous one is restored, also on errors."""
    small = product()
    assert small > 0
    flush = ctypes.CDLL(str(library)).flush
    try:
        with ieee_arithmetic():
            flush()
            assert product() == 0
        assert product() == small
        flush()

        @ieee_arithmetic()
        def inside() -> float:
            return product()

        assert product() == 0
        assert inside() == small
        assert product() == 0
        with pytest.raises(ZeroDivisionError), ieee_arithmetic():
            _ = 1 // int(product() != small)
        assert product() == 0
    finally:
        # Restore the default mode (FE_DFL_ENV) of the thread.
        ctypes.CDLL("libm.so.6").fesetenv(ctypes.c_void_p(-1))
    assert product() == small
