"""`python -m kkspdnn compile`: afterwards a run needs no compiler."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from kkspdnn.cli import main
from kkspdnn.engines.launch_trace import all_launches, engine_launches
from kkspdnn.pk import provide_pykokkos
from kkspdnn.pk.build.cache import default_cache
from kkspdnn.pk.build.find_runtime import find_runtime_library
from kkspdnn.pk.build.nvcc import nvcc_path
from kkspdnn.pk.build.runtime_library import RuntimeLibrary
from kkspdnn.pk.codegen.emit import Generated
from kkspdnn.pk.compiler import generate
from kkspdnn.pk.system.cuda_driver import Device
from kkspdnn.pk.system.instruction_sets import Processor, parse_processor
from tests.refusals import refusal

pk = provide_pykokkos()


def refused(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    return refusal(capsys, "compile", *options)


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--dtype", "float64"], ["--cpu", "x86-64-v3"]])
def test_every_workunit_is_listed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    """With each combination of types; nothing is compiled here."""
    requested = list[tuple[object, str | None, str | None]]()
    runtime_library = find_runtime_library(pk.Serial)

    def fake_find(space: object, arch: str | None, cpu: str | None) -> RuntimeLibrary:
        requested.append((space, arch, cpu))
        return runtime_library

    def fake_compile(jobs: Sequence[tuple[RuntimeLibrary, Generated]]) -> list[Path]:
        assert all(each is runtime_library for each, _ in jobs)
        return [runtime_library.path for _ in jobs]

    monkeypatch.setattr("kkspdnn.pk.build.find_runtime.find_runtime_library", fake_find)
    monkeypatch.setattr("kkspdnn.pk.dispatch.compile_workunits", fake_compile)
    parsers = list[Processor]()
    monkeypatch.setattr("kkspdnn.io.tsv_parser.parser_library", parsers.append)
    assert main.main(["compile", "--space", "serial", *options]) == 0
    first, *lines, last = capsys.readouterr().out.splitlines()
    assert first.startswith(f"Kokkos {runtime_library.kokkos_version} for native, ")
    assert requested == [(pk.Serial, None, options[1] if "--cpu" in options else "native")]
    assert parsers == [parse_processor(requested[0][2] or "")]
    names = [line.split(":")[0].strip() for line in lines]
    dtypes = options[1:] if "--dtype" in options else ["float32", "float64"]
    assert set(names) == set(engine_launches("serial", np.dtype("float32")))
    texts = {
        generate(*each).text for dtype in dtypes for each in all_launches("serial", np.dtype(dtype))
    }
    assert len(names) == len(texts)
    assert last.startswith(f"{len(texts)} workunits: ")


RUN_ALL = """
import numpy as np, scipy.sparse as sp
import kkspdnn as kk
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer
from kkspdnn.model.network import network

space = "SPACE"
rng = np.random.default_rng(1)
for neurons in NEURONS:
    columns = np.arange(neurons)
    for weight_type in ("equal", "different", "ragged"):
        weights = np.full(neurons, 0.5) if weight_type == "equal" else 1 + columns / neurons
        used = columns[: neurons - 1] if weight_type == "ragged" else columns
        square = (weights[used], (columns[used], used))
        layers = []
        for outputs in (neurons, neurons, 64):
            entries = (square[0], (square[1][0], square[1][1] % outputs))
            matrix = sp.coo_array(entries, shape=(neurons, outputs)).tocsr()
            layers.append(Layer.from_sparse(matrix, np.full(outputs, -0.25)))
        net = network(layers)
        dense = (rng.random((20, neurons)) < 0.3).astype(float)
        bits = Inputs(20, neurons, "memory", bits=np.packbits(dense > 0, axis=1))
        for dtype in ("float32", "float64"):
            common = {"space": space, "dtype": dtype, "verify": "none"}
            for exits in ("dead", "none"):
                kk.infer(net, dense, exits=exits, **common)
            kk.infer(net, dense, fold=True, **common)
            kk.infer(net, dense[:3], values=True, **common)
            for rows in (dense, dense.astype(np.float32), sp.csr_array(dense), bits):
                kk.infer(net, rows, **common)
                kk.infer(net, rows, kernel="spgemm", **common)
                kk.Predictor(net, space=space, dtype=dtype)(rows)
print("done")
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("space", "neurons"), [("serial", [64]), ("openmp", [64, 65_600])])
def test_a_run_after_compile_needs_no_compiler(
    space: str, neurons: list[int], tmp_path: Path
) -> None:
    """For narrow and wide networks, all types of layers and inputs, and all options."""
    run_all = RUN_ALL.replace("SPACE", space).replace("NEURONS", repr(neurons))
    options = [sys.executable, "-m", "kkspdnn", "compile", "--space", space]
    subprocess.run(options, env=environment(), check=True, stdout=subprocess.DEVNULL)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", run_all],
        env={**environment(), "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def environment() -> dict[str, str]:
    """Return the environment of a process with this kkspdnn and the same cache."""
    folder = str(Path(main.__file__).parents[2])
    inherited = {name: value for name, value in os.environ.items() if name != "CXX"}
    return {**inherited, "PYTHONPATH": folder, "KKSPDNN_CACHE": str(default_cache().root)}


def test_invalid_targets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "--arch sm_90 is for --space cuda" in refused(capsys, "--arch", "sm_90")
    assert "unknown option --neurons" in refused(capsys, "--neurons", "32")
    assert "--cpu native is for a CPU; leave it out" in refused(
        capsys, "--space", "cuda", "--arch", "sm_90", "--cpu", "native"
    )
    assert "--cpu skylake: choose native or one of x86-64" in refused(capsys, "--cpu", "skylake")
    assert "space 'metal': Apple GPUs are not supported" in refused(capsys, "--space", "metal")
    monkeypatch.setattr("kkspdnn.cli.compile.devices", tuple)
    assert "this machine has no device; give --arch" in refused(capsys, "--space", "cuda")
    if nvcc_path() is None:
        assert "no nvcc: put nvcc on the PATH" in refused(
            capsys, "--space", "cuda", "--arch", "sm_90"
        )
    else:
        assert "does not compile for sm_1, only" in refused(
            capsys, "--space", "cuda", "--arch", "sm_1"
        )


def test_the_default_architecture_is_that_of_the_device(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is built, because nvcc does not know sm_1."""
    if nvcc_path() is None:
        pytest.skip("no nvcc, see kkspdnn info")
    monkeypatch.setattr("kkspdnn.pk.system.cuda_driver.devices", lambda: (Device(0, "A", "sm_1"),))
    monkeypatch.setattr("kkspdnn.cli.compile.devices", lambda: (Device(0, "A", "sm_1"),))
    assert "does not compile for sm_1" in refused(capsys, "--space", "cuda")


def test_options_of_the_built_in_compiler_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kkspdnn.pk.active_implementation", lambda: "pykokkos")
    message = refused(capsys, "--cpu", "native")
    assert "--cpu native is for the built-in compiler: leave it out, or set KKSPDNN_PK" in message


def test_a_pykokkos_that_cannot_be_used(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening the space falls back to the built-in compiler."""
    monkeypatch.setattr("kkspdnn.pk.active_implementation", lambda: "pykokkos")
    message = refused(capsys, "--space", "serial")
    assert "PyKokkos cannot be used here: set KKSPDNN_PK=builtin" in message
