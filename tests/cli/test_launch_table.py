"""The table of the times of launches, of `--verbose`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kkspdnn.cli.launch_table import launch_table
from kkspdnn.cli.run_options import parser
from kkspdnn.pk.runtime.launch_times import LaunchTimes


def test_the_table() -> None:
    times = (
        LaunchTimes("layer", 1234, 0.5, 1e-4, 2e-3),
        LaunchTimes("a long label", 2, 1e-3, 4e-4, 6e-4),
    )
    assert launch_table(times, 0.8) == (
        "label         launches  total ms  of inference  mean us  min us  max us\n"
        "layer            1,234    500.00        62.5 %    405.2   100.0  2000.0\n"
        "a long label         2      1.00         0.1 %    500.0   400.0   600.0\n"
        "all launches     1,236    501.00        62.6 %"
    )


def test_a_run_without_launches() -> None:
    assert launch_table((), 0.8).splitlines()[1].split() == [
        "all",
        "launches",
        "0",
        "0.00",
        "0.0",
        "%",
    ]


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kkspdnn", "--neurons", "64", "--layers", "4", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_run_prints_it_to_standard_error() -> None:
    done = run("--inputs", "50", "-v")
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    (first,) = [k for k, line in enumerate(lines) if line.startswith("label ")]
    labels = [line.split("  ")[0] for line in lines[first + 1 :]]
    assert "fused" in labels
    assert labels[-1] == "all launches"
    assert "label" not in done.stdout
    assert done.stdout.startswith("space ")


def test_not_without_the_option() -> None:
    done = run("--inputs", "50")
    assert done.returncode == 0
    assert "all launches" not in done.stdout + done.stderr


def test_quiet_and_verbose_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parser().parse_args(["--quiet", "-v"])
    assert caught.value.code == 2
    assert "not allowed with argument" in capsys.readouterr().err
