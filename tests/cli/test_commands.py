"""The commands: their help, their examples, and unknown names."""

from __future__ import annotations

import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from kkspdnn.cli import main
from kkspdnn.cli.commands import COMMANDS, DEFAULT, root_parser
from tests.command_lines import parse
from tests.refusals import refusal


def test_the_help_lists_each_command_in_one_line() -> None:
    lines = root_parser().format_help().splitlines()
    for name, command in COMMANDS.items():
        (line,) = [line for line in lines if line.startswith(f"  {name} ")]
        assert line.endswith(f"  {command.summary}")
        assert len(line) <= 79


def test_the_help_says_that_run_is_the_default() -> None:
    text = " ".join(root_parser().format_help().split())
    assert "Without COMMAND, run is meant" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_of_a_command_parse(name: str) -> None:
    parser = COMMANDS[name].parser()
    assert parser.prog == f"kkspdnn {name}"
    assert parser.examples
    for example in parser.examples:
        assert f"  {example}\n" in parser.format_help()
        _, command, rest = example.partition("kkspdnn ")
        assert command
        assert shlex.split(rest)[0] == name
        parse(shlex.split(rest.partition(" > ")[0]))


def test_the_options_of_a_run_are_in_groups() -> None:
    groups = {
        group.title: {name for action in group._group_actions for name in action.option_strings}
        for group in COMMANDS["run"].parser()._action_groups
    }
    assert {"--data", "--mnist"} <= groups["network and input rows"]
    assert {"--space", "--kernel"} <= groups["engine"]
    assert groups["measurement"] == {"--repeat"}
    assert groups["checks"] == {"--verify"}
    assert {"--json", "--quiet", "-v"} <= groups["output"]
    assert groups["MPI and checkpoints"] == {"--parallel", "--checkpoint"}
    assert groups["options"] == {"-h", "--help", "--version"}


def test_run_can_be_left_out() -> None:
    for words in ([], ["--space", "serial", "--layers", "3"]):
        assert parse(words) == parse([DEFAULT, *words])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rnu"], "unknown command 'rnu' (did you mean run?); see kkspdnn --help"),
        (["plto", "x.json"], "unknown command 'plto' (did you mean plot?); see kkspdnn --help"),
        (["bcd", "--help"], "unknown command 'bcd'; see kkspdnn --help"),
        ([""], "unknown command ''; see kkspdnn --help"),
        (["--layers", "3", "run"], "run must come first: kkspdnn run …; see kkspdnn run --help"),
        (["run", "x.json"], "unexpected argument 'x.json'; see kkspdnn run --help"),
        (["plot", "x", "--ot", "y"], "unknown option --ot (did you mean --out?); see kkspdnn plot"),
    ],
)
def test_unknown_words(capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    assert message in refusal(capsys, *words)


def test_paths_without_an_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The option that takes them is named."""
    monkeypatch.chdir(tmp_path)
    Path("rows.npy").touch()
    Path("my network").mkdir()
    for words in ([], ["run"], ["tune"]):
        file, folder = (refusal(capsys, *words, path) for path in ("rows.npy", "my network"))
        assert "argument 'rows.npy': for a file of input rows, write --rows rows.npy; see" in file
        assert "for the folder of a network, write --data 'my network'; see kkspdnn" in folder
    assert "unexpected argument 'none'; see" in refusal(capsys, "run", "none")


def test_a_command_imports_no_other_command() -> None:
    """Nor do the help and the parser of `run` import a module that only other commands need."""
    others = {f"kkspdnn.cli.{each.module}" for each in COMMANDS.values()}
    assert all(find_spec(name) for name in others)
    for words in (["--help"], ["run", "--help"], ["cache", "--help"]):
        script = (
            "import sys\nfrom kkspdnn.cli.main import main\n"
            f"try: main({words})\nexcept SystemExit: pass\n"
            "print(*sys.modules, file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
        )
        own = {f"kkspdnn.cli.{COMMANDS[words[0]].module}"} if words[0] in COMMANDS else set()
        assert own <= set(done.stderr.split())
        assert set(done.stderr.split()) & others == own


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    from kkspdnn.version import own_version

    with pytest.raises(SystemExit):
        main.main(["--version"])
    assert capsys.readouterr().out == f"kkspdnn {own_version()}\n"
