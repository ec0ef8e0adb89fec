"""The table of the times of launches, of `--verbose`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kkspdnn.cli.launch_table import launch_tables
from kkspdnn.cli.run_options import parser
from kkspdnn.pk.runtime.launch_times import LaunchRecorder


def recorder(*, keep_launches: bool = False) -> LaunchRecorder:
    recorder = LaunchRecorder(keep_launches)
    recorder.add_rows(range(2), 5)
    recorder.add("layer", 0.3, range(2))
    recorder.add_rows(range(2), 1000)
    recorder.add("layer", 0.2, range(2))
    recorder.add_rows(range(2, 3), 7)
    recorder.add("layer", 0.1, range(2, 3))
    recorder.add("a long label", 4e-4)
    return recorder


TABLES = """\
label         launches  total ms  of inference   mean us   min us    max us
layer                3    600.00        75.0 %  200000.0  100000.0  300000.0
a long label         1      0.40         0.0 %     400.0     400.0     400.0
all launches         4    600.40        75.0 %

layers          launches  active rows  total ms  of inference
1-2                    2        1,005    500.00        62.5 %
3                      1            7    100.00        12.5 %
other launches         1                   0.40         0.0 %"""


def test_the_tables() -> None:
    tables = launch_tables(recorder(), 0.8)
    assert [line.split() for line in tables.splitlines()] == [
        line.split() for line in TABLES.splitlines()
    ]
    for table in tables.split("\n\n"):
        header, *lines = table.splitlines()
        # Numbers end where their heading ends.
        end = header.index("of inference") + len("of inference")
        assert all(line[:end].endswith(" %") for line in lines)


def test_the_list_of_launches() -> None:
    first, *_ = launch_tables(recorder(keep_launches=True), 0.8).split("\n\n")
    assert first == (
        "launch        us  layers  label\n"
        "     1  300000.0     1-2  layer\n"
        "     2  200000.0     1-2  layer\n"
        "     3  100000.0       3  layer\n"
        "     4     400.0          a long label"
    )


def test_a_run_without_launches() -> None:
    lines = launch_tables(LaunchRecorder(), 0.8).splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["all", "launches", "0", "0.00", "0.0", "%"],
    ]


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kkspdnn", "--neurons", "64", "--layers", "4", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_run_prints_it_to_standard_error() -> None:
    done = run("--inputs", "50", "-v")
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    (first,) = [k for k, line in enumerate(lines) if line.startswith("label ")]
    labels = [line.split("  ")[0] for line in lines[first + 1 : lines.index("")]]
    assert "fused" in labels
    assert labels[-1] == "all launches"
    header, *layers, others = [line.split() for line in lines[lines.index("") + 1 :]]
    assert header[:2] == ["layers", "launches"]
    assert {layer for row in layers for layer in numbers(row[0])} == {1, 2, 3, 4}
    assert others[:2] == ["other", "launches"]
    assert "label" not in done.stdout
    assert done.stdout.startswith("space ")


def numbers(text: str) -> list[int]:
    """The numbers of `3-5`."""
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def test_each_launch_is_listed() -> None:
    assert run("--inputs", "50").returncode == 0  # compiles what the cache lacks
    done = run("--inputs", "50", "-vv", "--repeat", "2")
    assert done.returncode == 0
    listed, labels, _ = done.stderr.split("\n\n")
    assert listed.split()[:4] == ["launch", "us", "layers", "label"]
    last, total = listed.splitlines()[-1].split()[0], labels.splitlines()[-1].split()[2]
    assert last == total


def test_not_without_the_option() -> None:
    done = run("--inputs", "50")
    assert done.returncode == 0
    assert "all launches" not in done.stdout + done.stderr


def test_quiet_and_verbose_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parser().parse_args(["--quiet", "-v"])
    assert caught.value.code == 2
    assert "not allowed with argument" in capsys.readouterr().err
