"""`python -m kkspdnn tune`: the table, the choice, and one-line errors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from kkspdnn.cli import main, run_options
from kkspdnn.cli.tune import parser
from kkspdnn.device.launch_parameters import LaunchParameters
from kkspdnn.errors import InputError
from kkspdnn.pk.build.cache import Cache
from kkspdnn.tuning.measure import EngineMeasurement
from tests.refusals import refusal

pytestmark = pytest.mark.usefixtures("no_progress_lines")

PROBLEM = ["--space", "serial", "--neurons", "64", "--layers", "4", "--inputs", "300"]


def set_times(monkeypatch: pytest.MonkeyPatch, fast: int) -> None:
    """Tiles of this number of bytes take half as long."""

    def seconds(_self: object, parameters: LaunchParameters) -> float:
        return 0.05 if parameters.tile_bytes == fast else 0.1

    monkeypatch.setattr(EngineMeasurement, "seconds", seconds)


def output(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main.main([*words, *PROBLEM]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


def test_the_table_and_the_choice(
    tuned_cache: Cache, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_times(monkeypatch, 128)
    lines = output(capsys, "tune").splitlines()
    assert lines[0] == "radixnet-64x4-seed0: 4 layers, 8,192 edges; serial, float32, exits all"
    assert lines[1].split() == ["parameter", "value", "seconds", "of", "default", "runs"]
    assert lines[2].split() == ["default", "0.1000", "1.000", "3", "default"]
    words = [line.split() for line in lines]
    assert ["tile_bytes", "128", "0.0500", "0.500", "10", "faster"] in words
    assert ["choice", "0.0500", "0.500", "20", "confirmed"] in words
    assert lines[-3].startswith("measured  300 rows on ")
    assert lines[-2] == "choice    tile_bytes 128: 0.500 of the default's time"
    (path,) = (tuned_cache.root / "tuned").iterdir()
    assert lines[-1] == f"kept in   {path}"


def test_a_run_says_that_it_is_tuned(
    tuned_cache: Cache,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    set_times(monkeypatch, 128)
    categories = [tmp_path / name for name in ("before", "after", "default")]
    before = output(capsys, "--verify", "none", "--categories", str(categories[0]))
    output(capsys, "tune")
    after = output(capsys, "--verify", "none", "--categories", str(categories[1]))
    default = output(capsys, "--no-tune", "--verify", "none", "--categories", str(categories[2]))
    assert re.search(r"^schedule .*, tuned launch parameters$", after, re.MULTILINE)
    assert "tuned" not in before + default
    assert len({each.read_text() for each in categories}) == 1


def test_nothing_is_faster(
    tuned_cache: Cache, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_times(monkeypatch, 128)
    output(capsys, "tune")
    (path,) = (tuned_cache.root / "tuned").iterdir()
    set_times(monkeypatch, 256)
    lines = output(capsys, "tune").splitlines()
    assert lines[-2].startswith("choice    the default: no candidate is faster by more than 2 %")
    assert lines[-1] == f"removed   {path}, an earlier choice"
    assert not path.exists()


def test_candidates_that_fail_or_have_no_time(
    tuned_cache: Cache, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_times(monkeypatch, 256)
    original = EngineMeasurement._start

    def start(self: Any, parameters: LaunchParameters) -> Any:
        if parameters.tile_bytes == 512:
            raise InputError("the memory is full")
        return original(self, parameters)

    monkeypatch.setattr(EngineMeasurement, "_start", start)
    lines = output(capsys, "tune")
    assert re.search(r"^tile_bytes +512  refused: the memory is full$", lines, re.MULTILINE)
    lines = output(capsys, "tune", "--seconds", "0.000001")
    assert re.search(r"^no time   for \d+ candidates; give more --seconds$", lines, re.MULTILINE)


def test_a_different_result_is_exit_code_1(
    tuned_cache: Cache, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = EngineMeasurement._start

    def start(self: Any, parameters: LaunchParameters) -> Any:
        categories = original(self, parameters)
        return categories[1:] if parameters.tile_bytes == 128 else categories

    monkeypatch.setattr(EngineMeasurement, "_start", start)
    assert main.main(["tune", *PROBLEM]) == 1
    error = capsys.readouterr().err
    assert error.startswith("kkspdnn: LaunchParameters(tile_bytes=128")
    assert error.count("\n") == 1
    assert not tuned_cache.root.exists()


def test_an_interrupt_keeps_nothing(
    tuned_cache: Cache, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def seconds(_self: object, parameters: LaunchParameters) -> float:
        if parameters.tile_bytes == 128:
            raise KeyboardInterrupt
        return 0.1

    monkeypatch.setattr(EngineMeasurement, "seconds", seconds)
    assert main.main(["tune", *PROBLEM]) == 130
    assert capsys.readouterr().err == "kkspdnn: interrupted\n"
    assert not tuned_cache.root.exists()


def test_a_cache_that_cannot_be_written(
    tuned_cache: Cache, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_times(monkeypatch, 128)
    tuned_cache.root.write_text("a file")
    assert main.main(["tune", *PROBLEM]) == 2
    error = capsys.readouterr().err
    assert f"{tuned_cache.root} is not a folder; set KKSPDNN_CACHE" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--kernel", "spgemm"], "unknown option --kernel"),
        (["--json", "x"], "unknown option --json"),
        (["--second", "3"], "unknown option --second"),
        (["more"], "unexpected argument 'more'"),
        (["--seconds", "0"], "'0' is not a number of seconds above 0"),
        (["--seconds", "-1"], "'-1' is not a number of seconds"),
        (["--seconds=1e3"], "'1e3' is not a number of seconds"),
        (["--space", "gpu"], "space 'gpu' is unknown"),
        (["--exits", "some"], "invalid choice: 'some'"),
        (["--neurons", "65"], "65 neurons: a RadiX-Net has"),
        (["--data", "no-such-folder"], "no such folder"),
        (["--device", "0"], "--device 0 is for --space cuda"),
    ],
)
def test_invalid_options(
    tuned_cache: Cache, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert message in refusal(capsys, "tune", *options)
    assert not tuned_cache.root.exists()


def test_several_processes_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setenv("PMI_RANK", "0")
    assert "mpiexec started 2 processes" in refusal(capsys, "tune", *PROBLEM)


def test_options_are_those_of_a_run() -> None:
    """Except those of `tune` itself."""
    own = {option for each in parser()._actions for option in each.option_strings}
    run = {option for each in run_options.parser()._actions for option in each.option_strings}
    assert own - run == {"--seconds"}
    assert {"--no-tune", "--tune"} & run == {"--no-tune"}
