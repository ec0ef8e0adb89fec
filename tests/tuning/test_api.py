"""`kk.tune`: what it keeps is used by runs of the same case, and by no others."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import kkspdnn as kk
from kkspdnn.device.launch_parameters import LaunchParameters
from kkspdnn.io.json_schema import decode
from kkspdnn.pk.build.cache import Cache
from kkspdnn.records.run import Launch, Record
from kkspdnn.tuning import measure
from kkspdnn.tuning.measure import EngineMeasurement

DEFAULT = LaunchParameters.native("serial")
TUNED = replace(DEFAULT, tile_bytes=128)

Time = Callable[[LaunchParameters], float]


def set_times(monkeypatch: pytest.MonkeyPatch, time: Time) -> None:
    """Runs are not timed."""
    monkeypatch.setattr(EngineMeasurement, "seconds", lambda _self, each: time(each))


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of 128 bytes take half as long."""
    set_times(monkeypatch, lambda each: 0.05 if each.tile_bytes == 128 else 0.1)


def tune(net: kk.Network | None = None, **options: Any) -> Any:
    options = {"space": "serial", **options}
    return kk.tune(kk.radixnet(64, 4) if net is None else net, kk.images(64, 300), **options)


def launch_of(net: kk.Network | None = None, **options: Any) -> Launch:
    options = {"space": "serial", **options}
    rows = kk.images(64, 300)
    launch = kk.infer(kk.radixnet(64, 4) if net is None else net, rows, **options).record.launch
    assert launch is not None
    return launch


def test_a_run_uses_what_was_kept(tuned_cache: Cache, times: None) -> None:
    net, rows = kk.radixnet(64, 4), kk.images(64, 300)
    before = kk.infer(net, rows, space="serial", values=True)
    assert before.record.launch == Launch("default", DEFAULT)
    seen: list[Any] = []
    tuning = tune(on_trial=seen.append)
    assert tuning.parameters == TUNED
    assert tuning.default == DEFAULT
    assert list(tuning.trials) == seen
    assert tuning.file is not None
    assert tuning.file.is_relative_to(tuned_cache.root)
    content = json.loads(tuning.file.read_text())
    assert (content["default_seconds"], content["seconds"], content["rows"]) == (0.1, 0.05, 300)
    after = kk.infer(net, rows, space="serial", values=True)
    assert after.record.launch == Launch("tuned", TUNED)
    assert (after.outputs == before.outputs).all()
    fields = json.loads(after.record.to_json())
    assert fields["launch"]["source"] == "tuned"
    assert fields["launch"]["parameters"]["tile_bytes"] == 128
    assert decode(Record, fields, "record") == after.record


def test_tune_false_and_the_environment_take_the_default(
    tuned_cache: Cache, times: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tune()
    assert launch_of().source == "tuned"
    assert launch_of(tune=False) == Launch("default", DEFAULT)
    monkeypatch.setenv("KKSPDNN_TUNE", "0")
    assert launch_of() == Launch("default", DEFAULT)
    monkeypatch.setenv("KKSPDNN_TUNE", "no")
    with pytest.raises(kk.InputError, match="KKSPDNN_TUNE=no"):
        launch_of()
    with pytest.raises(kk.InputError, match="KKSPDNN_TUNE=no"):
        kk.Predictor(kk.radixnet(64, 4), space="serial")


def test_other_cases_take_the_default(tuned_cache: Cache, times: None) -> None:
    tune()
    assert launch_of().source == "tuned"
    assert launch_of(kk.radixnet(64, 5)).source == "default"
    assert launch_of(kk.radixnet(64, 4, seed=3)).source == "tuned"
    assert launch_of(exits="none").source == "default"
    assert launch_of(dtype="float64").source == "default"
    assert launch_of(fold=True).source == "default"
    spgemm = kk.infer(kk.radixnet(64, 4), kk.images(64, 9), space="serial", kernel="spgemm")
    assert spgemm.record.launch is None


def test_a_damaged_file_is_not_used(
    tuned_cache: Cache, times: None, caplog: pytest.LogCaptureFixture
) -> None:
    path = tune().file
    path.write_text("{}")
    assert launch_of() == Launch("default", DEFAULT)
    assert str(path) in caplog.text


def test_a_predictor_uses_what_was_kept(tuned_cache: Cache, times: None) -> None:
    net, rows = kk.radixnet(64, 4), kk.images(64, 100)
    expected = kk.Predictor(net, space="serial")(rows)
    tune()
    tuned = kk.Predictor(net, space="serial")
    default = kk.Predictor(net, space="serial", tune=False)
    for predict in (tuned, copy.deepcopy(tuned)):
        assert predict._space.launch == predict._engine.space.launch == TUNED
    for predict in (default, copy.deepcopy(default)):
        assert predict._space.launch == DEFAULT
    for predict in (tuned, default):
        assert (predict(rows) == expected).all()


def test_noise_removes_an_earlier_choice(
    tuned_cache: Cache, times: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tune().file
    set_times(monkeypatch, lambda _: 0.1)
    tuning = tune()
    assert (tuning.parameters, tuning.file, tuning.removed) == (DEFAULT, None, path)
    assert not path.exists()
    assert launch_of() == Launch("default", DEFAULT)
    assert tune().removed is None


def test_an_error_keeps_the_earlier_choice(
    tuned_cache: Cache, times: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written before the end."""
    path = tune().file
    before = path.read_text()

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(on_trial=interrupt)
    assert path.read_text() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_small_search_with_real_times(tuned_cache: Cache) -> None:
    tuning = tune(seconds=1.0)
    assert tuning.trials[0].seconds > 0
    assert (tuning.file is None) == (tuning.parameters == DEFAULT)
    assert launch_of().parameters == tuning.parameters


def test_slow_runs_are_over_few_rows(tuned_cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_MIN_ROWS", 64)
    set_times(monkeypatch, lambda _: 1.0)
    tuning = kk.tune(kk.radixnet(64, 4), kk.images(64, 5000), space="serial", seconds=5.0)
    assert tuning.rows == 512  # eight tiles


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seconds": 0}, "seconds 0: give a number above 0"),
        ({"seconds": np.nan}, "seconds nan"),
        ({"seconds": "5"}, "seconds '5'"),
        ({"exits": "some"}, "exits 'some' is unknown"),
        ({"space": "gpu"}, "space 'gpu'"),
        ({"net": kk.network([], inputs=64)}, "nothing to tune"),
        ({"memory": 1e-6}, "memory"),
        ({"dtype": "int8"}, "dtype"),
    ],
)
def test_invalid_arguments(tuned_cache: Cache, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(kk.KkspdnnError, match=message) as raised:
        tune(**arguments)
    assert "\n" not in str(raised.value)
    assert not tuned_cache.root.exists()


def test_no_rows(tuned_cache: Cache) -> None:
    with pytest.raises(kk.InputError, match="nothing to tune"):
        kk.tune(kk.radixnet(64, 2), np.zeros((0, 64), np.float32), space="serial")
