"""Files of tuned parameters: a round trip, and every kind of file that cannot be used."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kkspdnn as kk
from kkspdnn.cli import main
from kkspdnn.device.launch_parameters import LaunchParameters
from kkspdnn.device.space import open_space
from kkspdnn.errors import CacheError, InputError
from kkspdnn.pk.build.cache import Cache
from kkspdnn.tuning import store
from kkspdnn.tuning.case import TuningCase
from kkspdnn.tuning.store import find_tuned, forget_tuned, is_enabled, keep_tuned

TUNED = replace(LaunchParameters.default("serial"), tile_bytes=128, layers_a_launch=4)


@pytest.fixture
def case() -> TuningCase:
    return TuningCase.of(
        open_space("serial"), kk.radixnet(64, 2), np.dtype(np.float32), "fused", "all"
    )


def keep(case: TuningCase, parameters: LaunchParameters = TUNED) -> Path:
    return keep_tuned(case, parameters, rows=10, pairs=20, default_seconds=0.5, seconds=0.25)


def test_a_round_trip(tuned_cache: Cache, case: TuningCase) -> None:
    assert find_tuned(case) is None
    path = keep(case)
    assert path.is_relative_to(tuned_cache.root)
    assert find_tuned(case) == TUNED
    content = json.loads(path.read_text())
    assert content["case"] == asdict(case)
    assert (content["default_seconds"], content["seconds"]) == (0.5, 0.25)
    keep(case, LaunchParameters.default("serial"))
    assert find_tuned(case) == LaunchParameters.default("serial")
    assert os.listdir(path.parent) == [path.name]
    assert forget_tuned(case) == path
    assert find_tuned(case) is None
    assert forget_tuned(case) is None


def test_a_file_is_for_one_case(tuned_cache: Cache, case: TuningCase) -> None:
    """Another machine, number of threads, option or shape of the network takes the default."""
    keep(case)
    for field in fields(TuningCase):
        value = getattr(case, field.name)
        other = replace(case, **{field.name: value + 1 if isinstance(value, int) else "other"})
        assert find_tuned(other) is None, field.name
    assert find_tuned(case) == TUNED


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o002, 0o077])
def test_nobody_else_may_write(tuned_cache: Cache, case: TuningCase, mask: int) -> None:
    before = os.umask(mask)
    try:
        path = keep(case)
    finally:
        os.umask(before)
    for each in (path, path.parent, tuned_cache.root):
        assert stat.S_IMODE(each.stat().st_mode) & 0o022 == 0
    assert find_tuned(case) == TUNED


def change(**changes: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return write


def change_parameters(**changes: Any) -> Callable[[Path], None]:
    return change(parameters={**asdict(TUNED), **changes})


def change_case(path: Path) -> None:
    content = json.loads(path.read_text())
    content["case"]["threads"] += 1
    path.write_text(json.dumps(content))


def without_parameters(path: Path) -> None:
    content = json.loads(path.read_text())
    del content["parameters"]
    path.write_text(json.dumps(content))


def to_folder(path: Path) -> None:
    path.unlink()
    path.mkdir(mode=0o700)


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_text(""), "not JSON"),
    "cut": (lambda path: path.write_text(path.read_text()[:100]), "not JSON"),
    "binary": (lambda path: path.write_bytes(b"\xff\xfe"), "not UTF-8"),
    "a list": (lambda path: path.write_text("[]"), "not a JSON object"),
    "a folder": (to_folder, "cannot be read: Is a directory"),
    "another schema": (change(schema="kkspdnn-tuned/2"), "schema 'kkspdnn-tuned/2' is not kkspdnn"),
    "another version": (change(version="0.0.9"), "version '0.0.9' is not "),
    "no version": (change(version=None), "version None is not "),
    "unknown field": (change(more=1), "more: no such field"),
    "no parameters": (without_parameters, "parameters: this field is missing"),
    "parameters of another type": (change(parameters=3), "parameters: 3 is not an object"),
    "unknown parameter": (change_parameters(warps=2), "parameters: warps: no such field"),
    "text": (change_parameters(tile_bytes="128"), "tile_bytes: '128' is not a whole number"),
    "fraction": (change_parameters(layers_a_launch=1.5), "layers_a_launch: 1.5 is not a whole"),
    "illegal tile": (change_parameters(tile_bytes=100), "tile_bytes 100 is not possible"),
    "illegal depth": (change_parameters(layers_a_launch=99), "layers_a_launch 99 is not possible"),
    "of a GPU": (change(parameters=asdict(LaunchParameters.default("cuda"))), "tile_bytes 0 is"),
    "another case": (change_case, "is for another machine or network"),
    "others may write": (lambda path: path.chmod(0o666), "others may write to"),
    "folder of others": (lambda path: path.parent.chmod(0o777), "others may write to"),
    "dangling link": (
        lambda path: (path.unlink(), path.symlink_to("nowhere")),
        "is a symbolic link",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_named_in_a_warning_and_ignored(
    kind: str, tuned_cache: Cache, case: TuningCase, caplog: pytest.LogCaptureFixture
) -> None:
    path = keep(case)
    spoil, reason = BAD[kind]
    spoil(path)
    assert find_tuned(case) is None
    (record,) = caplog.records
    message = record.getMessage()
    assert record.levelname == "WARNING"
    assert record.name == "kkspdnn"
    assert reason in message
    assert str(path.parent) in message
    assert "the default launch parameters are used: run kkspdnn tune again" in message
    assert "\n" not in message


def test_the_users_own_file_takes_precedence(tmp_path: Path, case: TuningCase) -> None:
    """A shared cache that the user may only read can have tuned files too."""
    shared, own = Cache(tmp_path / "shared"), Cache(tmp_path / "own")
    both = Cache(shared.root, own.root)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(store, "default_cache", lambda: shared)
        keep(case)
        patched.setattr(store, "default_cache", lambda: both)
        assert find_tuned(case) == TUNED
        mine = replace(TUNED, tile_bytes=512)
        assert keep(case, mine).is_relative_to(own.root)
        assert find_tuned(case) == mine


def test_an_unusable_cache_has_no_tuned_files(
    case: TuningCase, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("KKSPDNN_CACHE", "~no-such-user/cache")
    assert find_tuned(case) is None
    assert "tuned launch parameters are not used" in caplog.records[0].getMessage()


def test_a_cache_that_cannot_be_written(tuned_cache: Cache, case: TuningCase) -> None:
    tuned_cache.root.write_text("a file")
    with pytest.raises(CacheError) as raised:
        keep(case)
    assert "\n" not in str(raised.value)
    assert str(tuned_cache.root) in str(raised.value)


def test_a_use_is_the_time_of_last_use(tuned_cache: Cache, case: TuningCase) -> None:
    path = keep(case)
    os.utime(path, (1e9, 1e9))
    find_tuned(case)
    assert time.time() - path.stat().st_mtime < 60


def test_the_cache_command_lists_and_removes_it(
    tuned_cache: Cache,
    case: TuningCase,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = keep(case)
    monkeypatch.setenv("KKSPDNN_CACHE", str(tuned_cache.root))
    assert main.main(["cache"]) == 0
    assert "  tuned     *.json" in capsys.readouterr().out
    assert main.main(["cache", "clear"]) == 0
    assert not path.exists()


@pytest.mark.parametrize(("value", "enabled"), [("0", False), ("1", True), ("", True)])
def test_the_environment_variable(
    monkeypatch: pytest.MonkeyPatch, value: str, enabled: bool
) -> None:
    monkeypatch.setenv("KKSPDNN_TUNE", value)
    assert is_enabled() is enabled


def test_another_value_of_the_environment_variable_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KKSPDNN_TUNE", "off")
    with pytest.raises(InputError, match="KKSPDNN_TUNE=off: give 0"):
        is_enabled()
