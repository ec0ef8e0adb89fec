"""`kkspdnn show`: the printed text, and one-line errors."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import kkspdnn
from kkspdnn.cli import main
from kkspdnn.engines.launch_trace import engine_launches
from kkspdnn.pk.compiler import generate
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.types import DOUBLE, UINT16, UINT32, View
from tests.refusals import refusal

OWN = """\
import pykokkos as pk

@pk.workunit
def scale(i: int, x, factor: float):
    x[i] = x[i] * factor
"""


def shown(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert main.main(["show", *options]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


def refused(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    return refusal(capsys, "show", *options)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    file = tmp_path / "kernels.py"
    file.write_text(OWN)
    return file


def test_the_text_is_that_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "fused_fan_in", "--space", "serial", "--dtype", "float64")
    workunit, space, types = engine_launches("serial", DOUBLE.numpy)["fused_fan_in"]
    assert space is ExecutionSpace.Serial
    assert dict(zip(workunit.generic, types, strict=True)) == {
        "a": View(DOUBLE, 3),
        "ranges": View(DOUBLE, 3),
        "index": View(UINT16, 2),
        "value": View(DOUBLE, 2),
        "bias": View(DOUBLE, 1),
        "zero": DOUBLE,
        "unbiased": DOUBLE,
        "low": DOUBLE,
        "ymax": DOUBLE,
    }
    assert text == generate(workunit, space, types).text
    assert "using _space = Kokkos::Serial;" in text
    assert text != shown(capsys, "fused_fan_in", "--dtype", "float64")


def test_types_override_those_of_the_engine(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "fused_fan_in", "--types", "index=uint32[2]")
    assert f"View2D<const {UINT32.cpp}> index;" in text
    assert "View3D<float> a;" in text


def test_the_list_of_workunits(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys).splitlines()
    assert [line.split()[0] for line in lines] == sorted(engine_launches("openmp", DOUBLE.numpy))
    for line in lines:
        assert len(line) < 120
        name, module, _ = line.split(maxsplit=2)
        assert module == engine_launches("openmp", DOUBLE.numpy)[name][0].__module__
        assert module.startswith("kkspdnn.workunits.")


def test_the_users_own_workunit(capsys: pytest.CaptureFixture[str], own: Path) -> None:
    text = shown(capsys, f"{own}:scale", "--types", "x=float32[1]")
    assert "View1D<float> x;" in text
    assert f'#line 4 "{own.name}"' in text


@pytest.mark.slow
def test_no_compiler_is_needed(tmp_path: Path, own: Path) -> None:
    home = Path(kkspdnn.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(home), "PATH": str(tmp_path)}
    environment.update(KKSPDNN_CACHE=str(tmp_path / "cache"), KKSPDNN_PK="builtin")
    environment.pop("CXX", None)
    for name in ("fused_csr", f"{own}:scale"):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "kkspdnn", "show", name]
            + ["--types", "x=float32[1]" if ":" in name else ""],
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "KOKKOS_INLINE_FUNCTION" in done.stdout
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("space", ["serial", "openmp"])
def test_assembly(capsys: pytest.CaptureFixture[str], space: str) -> None:
    if shutil.which("objdump") is None:
        pytest.skip("no objdump on the PATH")
    text = shown(capsys, "add_bias", "--assembly", "--space", space)
    assert text.count(">:\n") == 1
    assert len(text.splitlines()) > 20


def test_count_edges_uses_lanes_of_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    assert "lanes::for_each<uint8_t>" in shown(capsys, "count_edges", "--space", "serial")


def test_code_for_a_gpu_needs_no_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "fused_fan_in", "--space", "cuda")
    assert "// for Kokkos::Cuda\n" in text
    assert "cudaGetLastError()" in text
    assert '#include "kkspdnn_lanes_cuda.hpp"\n' in text


def test_errors(
    capsys: pytest.CaptureFixture[str], own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no workunit 'nope'; choose one of add_bias, " in refused(capsys, "nope")
    assert "no workunit 'nope'; choose one of scale" in refused(capsys, f"{own}:nope")
    assert "no workunit 'fusd_csr' (did you mean fused_csr?); choose" in refused(capsys, "fusd_csr")
    mistyped = refused(capsys, f"{own}:scle")
    assert "no workunit 'scle' (did you mean scale?); choose one of scale" in mistyped
    mistyped = refused(capsys, f"{own}:scale", "--types", "factr=float32")
    assert "no parameter `factr` without annotation; choose from x" in mistyped
    assert "the types of x depend on the launch; set them" in refused(capsys, f"{own}:scale")
    assert "cuobjdump" in refused(capsys, "add_bias_team", "--space", "cuda", "--assembly")
    assert "space 'metal': Apple GPUs are not supported" in refused(
        capsys, "add_bias", "--space", "metal"
    )
    assert "invalid choice: 'float16'" in refused(capsys, "add_bias", "--dtype", "float16")
    assert "unknown option --neurons" in refused(capsys, "add_bias", "--neurons", "32")
    assert "see kkspdnn show --help" in refused(capsys, "add_bias", "twice")
    assert "types: 'x': write NAME=TYPE" in refused(capsys, "add_bias", "--types", "x")
    monkeypatch.setattr("kkspdnn.pk.build.disassemble.shutil.which", lambda _: None)
    monkeypatch.setattr(
        "kkspdnn.pk.build.runtime_library.RuntimeLibrary.compile_workunit", lambda *_: own
    )
    assert "no objdump" in refused(capsys, "add_bias", "--assembly")


def test_types_that_do_not_fit_the_body(capsys: pytest.CaptureFixture[str], own: Path) -> None:
    assert main.main(["show", f"{own}:scale", "--types", "x=float32[3]"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"kkspdnn: {own}:5: `x` has 3 dimension(s), not 1\n" in printed.err


def test_show_must_come_first(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        main.main(["--space", "serial", "show"])
    assert exited.value.code == 2
    assert "show must come first: kkspdnn show …; see" in capsys.readouterr().err
