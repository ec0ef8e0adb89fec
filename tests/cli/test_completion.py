"""`kkspdnn completion`: the scripts of all shells, and what bash completes with them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from kkspdnn.cli import main
from kkspdnn.cli.commands import COMMANDS
from kkspdnn.cli.completion import SHELLS
from kkspdnn.cli.run_options import parser as run_parser
from tests.refusals import refusal

pytest.importorskip("shtab", reason="no shtab: pip install shtab")

_COMPLETE = """\
source {script}
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
function=$(complete -p kkspdnn | sed 's/.* -F \\([^ ]*\\) .*/\\1/')
$function kkspdnn "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD - 1]}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
"""What bash does when the user presses TAB."""


def script(capsys: pytest.CaptureFixture[str], shell: str) -> str:
    assert main.main(["completion", shell]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_has_all_commands_and_options(
    capsys: pytest.CaptureFixture[str], shell: str
) -> None:
    text = script(capsys, shell)
    for name in COMMANDS:
        assert name in text
    # In tcsh, options are completed without their dashes.
    for option in run_parser()._option_string_actions:
        assert option.lstrip("-") in text, option


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_a_shell_accepts_its_script(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, shell: str
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} on the PATH")
    (tmp_path / "script").write_text(script(capsys, shell))
    done = subprocess.run(
        [shell, "-n", str(tmp_path / "script")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["kkspdnn", ""], list(COMMANDS)),
        (["kkspdnn", "comp"], ["compile", "completion"]),
        (["kkspdnn", "run", "--sp"], ["--space"]),
        (["kkspdnn", "run", "--space", ""], ["serial", "openmp", "cuda"]),
        (["kkspdnn", "--sp"], ["--space"]),
        (["kkspdnn", "run", "--space", "serial", "--kern"], ["--kernel"]),
        (["kkspdnn", "run", "--data", "r"], ["results"]),
        (["kkspdnn", "run", "--rows", "r"], ["results", "rows.npy"]),
        (["kkspdnn", "run", "--json", "rows"], ["rows.npy"]),
        (["kkspdnn", "plot", "x.json", "--out", "r"], ["results"]),
        (["kkspdnn", "prune", "ro"], ["rows.npy"]),
        (["kkspdnn", "cache", ""], ["show", "clear"]),
        (["kkspdnn", "completion", "z"], ["zsh"]),
    ],
)
def test_what_bash_completes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], completed: list[str]
) -> None:
    if shutil.which("bash") is None:
        pytest.skip("no bash on the PATH")
    (tmp_path / "script").write_text(script(capsys, "bash"))
    (tmp_path / "results").mkdir()
    (tmp_path / "rows.npy").write_bytes(b"")
    quoted = " ".join(f"'{word}'" for word in words)
    done = subprocess.run(
        ["bash", "--norc", "-c", _COMPLETE.format(script=tmp_path / "script", words=quoted)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert sorted(done.stdout.splitlines()) == sorted(completed)


def test_another_shell(capsys: pytest.CaptureFixture[str]) -> None:
    message = refusal(capsys, "completion", "bsh")
    assert "invalid choice: 'bsh' (did you mean bash?)" in message
