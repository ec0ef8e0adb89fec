"""The tutorial runs as it is written: its Python, and its commands in between."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import kkspdnn

ROOT = Path(kkspdnn.__file__).parents[1]
TUTORIAL = ROOT / "docs" / "tutorial.md"
_BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def script() -> str:
    """Return all blocks after the installation as one script; commands become calls of it."""
    text = TUTORIAL.read_text("utf-8").partition("## 2. ")[2]
    lines = ["import shlex, subprocess, sys", f"sys.path.insert(0, {str(ROOT)!r})"]
    for language, block in _BLOCK.findall(text):
        if language == "python":
            lines.append(block)
            continue
        for command in block.splitlines():
            program, *words = command.split()
            assert program == "kkspdnn", command
            lines.append(f"subprocess.run([sys.executable, '-m', 'kkspdnn', *{words}], check=True)")
    return "\n".join(lines)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("torch") is None, reason="no torch: pip install torch")
def test_the_tutorial(tmp_path: Path) -> None:
    (tmp_path / "tutorial.py").write_text(script(), "utf-8")
    done = subprocess.run(
        [sys.executable, "tutorial.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    accuracies = dict(re.findall(r"^([\w ]+): ([\d.]+)%$", done.stdout, re.MULTILINE))
    assert float(accuracies["dense"]) > 92
    assert float(accuracies["pruned"]) > 92
    assert accuracies["on kkspdnn"] == accuracies["pruned"]
    assert "verified    passed" in done.stdout


def test_the_installation_names_commands_of_the_readme() -> None:
    """`pip install` with an extra that exists."""
    text = TUTORIAL.read_text("utf-8")
    extras = re.findall(r'pip install "\.\[(\w+)\]"', text)
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    assert extras == ["torch"]
    assert re.search(r"^torch = \[", project, re.MULTILINE)
