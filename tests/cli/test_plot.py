"""`python -m kkspdnn plot`: figures without a compiler, and one-line errors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kkspdnn.cli import main
from tests.refusals import refusal

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "bench" / "results" / "1024-120-openmp.json"


@pytest.mark.slow
def test_the_command_writes_figures_without_a_compiler(tmp_path: Path) -> None:
    out = tmp_path / "new" / "figures"
    no_compiler = {"PATH": "", "CXX": "no-such-compiler", "KKSPDNN_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "kkspdnn", "plot", RECORD, "--out", out],
        cwd=ROOT,
        env={**os.environ, **no_compiler},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"12 files in {out}: rates, poster\n"
    assert len(list(out.iterdir())) == 12
    assert (out / "rates-1col.pdf").read_bytes().startswith(b"%PDF")
    assert not (tmp_path / "cache").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "kkspdnn: the following arguments are required"),
        ([str(RECORD)], "kkspdnn: the following arguments are required: --out"),
        (["none.json", "--out", "x"], "kkspdnn: none.json: cannot be read: No such file"),
        ([str(RECORD), "--out", str(RECORD)], "is not a folder"),
    ],
)
def test_an_error_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert message in refusal(capsys, "plot", *arguments)


def test_without_matplotlib_the_error_names_the_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in tuple(sys.modules):
        if name.startswith(("matplotlib", "kkspdnn.figures.")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("kkspdnn.figures.catalog", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main.main(["plot", str(RECORD), "--out", str(tmp_path / "out")]) == 2
    assert "pip install matplotlib" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_run_can_print_published_rates(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--inputs", "64", "--verify", "none"]
    assert main.main([*small, "--published"]) == 0
    assert "OTHER MACHINES, not measured here" in capsys.readouterr().out
    assert main.main(small) == 0
    assert "OTHER MACHINES" not in capsys.readouterr().out


def test_other_commands_run_without_matplotlib() -> None:
    without = "import sys; sys.modules['matplotlib'] = None; from kkspdnn.cli.main import main; "
    done = subprocess.run(
        [sys.executable, "-c", without + "main(['show'])"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "fused_equal" in done.stdout
