"""The same workunits under the real PyKokkos, where it is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kkspdnn.pk.real.requirements import is_installed

SCRIPT = """
import sys
from dataclasses import replace
import numpy as np
import scipy.sparse as sp
import kkspdnn as kk

kernel, dtype = sys.argv[1:]
random = np.random.default_rng(7)

def check(network, rows):
    result = kk.infer(network, rows, kernel=kernel, dtype=dtype, verification="full")
    assert result.record.pk == "pykokkos", result.record.pk
    assert result.record.verified.passed, result.record.verified
    return result.record.categories

# Constant fan-in and packed bits; then any fan-in, both signs, empty neurons and CSR rows.
assert check(kk.radixnet(64, 6), kk.images(64, 200)) > 0
layers = []
for inputs, outputs in ((30, 50), (50, 20)):
    weights = sp.random_array((inputs, outputs), density=0.2, rng=random, dtype=np.float64)
    weights.data[:] = random.integers(-8, 9, weights.nnz) / 16
    layers.append(kk.Layer.from_sparse(sp.csr_array(weights), random.integers(-4, 9, outputs) / 16))
rows = sp.random_array((77, 30), density=0.3, rng=random)
rows.data[:] = random.integers(1, 17, rows.nnz) / 16
assert check(kk.network(layers), sp.csr_array(rows)) > 0
# Biases on every sum, and no ReLU after the last layer.
for place, layer in enumerate(layers):
    layers[place] = replace(
        layer,
        bias_to="all",
        bias=layer.bias if kernel == "fused" else -abs(layer.bias) * (place == 0),
        activation="linear" if place else "relu",
    )
assert check(kk.network(layers, None), sp.csr_array(rows)) > 0
if kernel == "fused":
    # Dense rows in and out.
    predict = kk.Predictor(kk.network(layers, None), dtype=dtype)
    for count in (1, 77):
        part = rows.toarray()[:count]
        expected = kk.infer(kk.network(layers, None), part, dtype=dtype, values=True).outputs
        assert (predict(part) == expected).all()
print("agrees")
"""


@pytest.mark.skipif(not is_installed(), reason="PyKokkos is not installed here")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kernel", ["fused", "spgemm"])
def test_pykokkos_gives_the_reference_s_answer(kernel: str, dtype: str, tmp_path: Path) -> None:
    # PyKokkos keeps its kernels in the working folder and never looks at the source again.
    root = Path(__file__).resolve().parents[1]
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(script), kernel, dtype],
        cwd=tmp_path,
        env={**os.environ, "KKSPDNN_PK": "pykokkos", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.endswith("agrees\n"), done.stdout + done.stderr
