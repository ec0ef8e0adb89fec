"""The engines with the real PyKokkos, where it is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kkspdnn.pk.installed.requirements import is_installed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),  # the first test of a kind compiles its workunits
    pytest.mark.skipif(not is_installed(), reason="PyKokkos is not installed here"),
]

ROOT = Path(__file__).resolve().parents[1]

START = """
import sys
from dataclasses import replace
import numpy as np
import scipy.sparse as sp
import kkspdnn as kk

dtype, *rest = sys.argv[1:]
random = np.random.default_rng(7)

def check(network, rows, **options):
    result = kk.infer(network, rows, dtype=dtype, verify="full", tune=False, **options)
    assert result.record.pk == "pykokkos", result.record.pk
    assert result.record.verified.passed, result.record.verified
    return result.record.categories

def any_network():
    # Any fan-in, both signs, empty neurons.
    layers = []
    for inputs, outputs in ((30, 50), (50, 20)):
        weights = sp.random_array((inputs, outputs), density=0.2, rng=random, dtype=np.float64)
        weights.data[:] = random.integers(-8, 9, weights.nnz) / 16
        bias = random.integers(-4, 9, outputs) / 16
        layers.append(kk.Layer.from_sparse(sp.csr_array(weights), bias))
    return layers

def any_rows(count):
    rows = sp.random_array((count, 30), density=0.3, rng=random)
    rows.data[:] = random.integers(1, 17, rows.nnz) / 16
    return sp.csr_array(rows)
"""

NETWORKS = """
(kernel,) = rest
# Constant fan-in and packed bits; then CSR rows.
assert check(kk.radixnet(64, 6), kk.images(64, 200), kernel=kernel) > 0
layers, rows = any_network(), any_rows(77)
assert check(kk.network(layers), rows, kernel=kernel) > 0
# Biases on every sum, and no ReLU after the last layer.
for place, layer in enumerate(layers):
    layers[place] = replace(
        layer,
        bias_to="all",
        bias=layer.bias if kernel == "fused" else -abs(layer.bias) * (place == 0),
        activation="linear" if place else "relu",
    )
assert check(kk.network(layers, None), rows, kernel=kernel) > 0
"""

EXITS = """
(exits,) = rest
# Many layers, so that rows are retired and tiles compacted.
found = check(kk.radixnet(1024, 120), kk.images(1024, 1500), exits=exits)
assert 0 < found < 1500
"""

PREDICTOR = """
layers = any_network()
for place, layer in enumerate(layers):
    layers[place] = replace(layer, bias_to="all", activation="linear" if place else "relu")
network = kk.network(layers, None)
predict = kk.Predictor(network, dtype=dtype, tune=False)
rows = any_rows(200).toarray()
for count in (1, 3, 64, 77, 200):
    expected = kk.infer(network, rows[:count], dtype=dtype, values=True, tune=False).outputs
    assert (predict(rows[:count]) == expected).all()
    reference = rows[:count] @ layers[0].weights().toarray() + layers[0].bias
    reference = np.maximum(reference, 0) @ layers[1].weights().toarray() + layers[1].bias
    assert np.allclose(expected, reference, atol=1e-4)
"""

IMPORTED_BEFORE = """
import pykokkos
import sys
import kkspdnn as kk
result = kk.infer(kk.radixnet(64, 4), kk.images(64, 100), verify="full", tune=False)
assert result.record.verified.passed
print(result.record.pk, result.record.threads, sys.modules["pykokkos"] is pykokkos)
"""


def run(script: str, folder: Path, *arguments: str, **variables: str) -> str:
    """Return what a script prints. It runs in a folder of its own, where it leaves nothing."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=folder,
        env={**os.environ, "KKSPDNN_PK": "pykokkos", "PYTHONPATH": path, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(folder.iterdir()) == []
    return done.stdout


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kernel", ["fused", "spgemm"])
def test_all_kinds_of_networks(kernel: str, dtype: str, tmp_path: Path) -> None:
    run(START + NETWORKS, tmp_path / "run", dtype, kernel)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("exits", ["all", "dead", "none"])
def test_early_exit_of_rows(exits: str, dtype: str, tmp_path: Path) -> None:
    run(START + EXITS, tmp_path / "run", dtype, exits)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_predictor(dtype: str, tmp_path: Path) -> None:
    run(START + PREDICTOR, tmp_path / "run", dtype)


def test_a_program_that_has_imported_pykokkos(tmp_path: Path) -> None:
    printed = run(IMPORTED_BEFORE, tmp_path / "run", KKSPDNN_PK="", OMP_NUM_THREADS="2")
    assert printed == "pykokkos 2 True\n"
    printed = run(IMPORTED_BEFORE, tmp_path / "run", KKSPDNN_PK="builtin", OMP_NUM_THREADS="2")
    assert printed == "builtin 2 True\n"


def test_two_spaces_in_one_process(tmp_path: Path) -> None:
    script = """
import kkspdnn as kk
for space in ("serial", "openmp", "serial"):
    result = kk.infer(
        kk.radixnet(64, 4), kk.images(64, 100), space=space, verify="full", tune=False
    )
    assert result.record.verified.passed
    print(result.record.pk, result.record.space)
"""
    printed = run(script, tmp_path / "run").splitlines()
    assert printed == ["pykokkos serial", "pykokkos openmp", "pykokkos serial"]


def test_info_reports_every_requirement(tmp_path: Path) -> None:
    script = "from kkspdnn.cli.main import main; main(['info'])"
    printed = run(script, tmp_path / "run")
    section = printed.partition("\npykokkos\n")[2].partition("\nspaces\n")[0]
    assert [line[:4] for line in section.splitlines()] == ["  + "] * 8
    assert "  + import: succeeds\n" in section
    assert section.endswith("  + in use: pykokkos (KKSPDNN_PK)")


def test_compile_fills_the_cache(tmp_path: Path) -> None:
    script = "import sys; from kkspdnn.cli.main import main; main(sys.argv[1:])"
    first, *lines, last = run(
        script, tmp_path / "run", "compile", "--dtype", "float32"
    ).splitlines()
    assert first.startswith("Kokkos ")
    assert " of PyKokkos, g++" in first
    assert len(lines) > 20
    assert last.startswith(f"{len(lines)} workunits: ")


def test_show_prints_the_built_in_compiler_s_code(tmp_path: Path) -> None:
    script = "import sys; from kkspdnn.cli.main import main; main(sys.argv[1:])"
    workunit = f"{ROOT / 'examples' / 'own_workunit.py'}:multiply"
    for name in ("fused_equal", workunit):
        assert "struct " in run(script, tmp_path / "run", "show", name)
