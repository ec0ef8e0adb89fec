"""The parameter `progress`, and the functions that have it."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import kkspdnn as kk
from kkspdnn.io.challenge import write_images, write_network
from kkspdnn.progress import open_progress


class Steps:
    """A callback that keeps its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, float]] = []

    def __call__(self, step: str, fraction: float) -> None:
        self.calls.append((step, fraction))

    @property
    def names(self) -> list[str]:
        """The steps, each once, in order."""
        return list(dict.fromkeys(name for name, _ in self.calls))

    def check_fractions(self) -> None:
        """The fractions are from 0 to 1, and do not fall within a step."""
        assert all(0 <= fraction <= 1 for _, fraction in self.calls)
        for name in self.names:
            fractions = [fraction for each, fraction in self.calls if each == name]
            assert fractions == sorted(fractions)


def test_a_callback_is_called() -> None:
    steps = Steps()
    with open_progress(steps) as on_step:
        on_step("packing", 0.5)
    assert steps.calls == [("packing", 0.5)]


@pytest.mark.parametrize("progress", [None, False, True])
def test_nothing_is_shown_without_a_terminal(
    progress: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kkspdnn.progress.bar._DELAY", 0.0)
    error = io.StringIO()
    with contextlib.redirect_stderr(error), open_progress(progress) as on_step:
        on_step("packing", 0.5)
    assert error.getvalue() == ""


def test_true_shows_a_bar_on_one_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[bool] = []

    @contextlib.contextmanager
    def bar(enabled: bool) -> Any:
        shown.append(enabled)
        yield None

    monkeypatch.setattr("kkspdnn.progress.delayed_bar", bar)
    for progress, enabled in ((True, True), (True, False), (None, True), (False, True)):
        with open_progress(progress, enabled):
            pass
    assert shown == [True, False, False, False]


@pytest.mark.parametrize("progress", [3, "yes"])
def test_another_value_is_refused(progress: Any) -> None:
    network = kk.radixnet(1024, 1)
    with pytest.raises(kk.InputError, match=rf"^progress={progress!r}: give True for a bar"):
        kk.prune(network, progress=progress)
    with pytest.raises(kk.InputError, match=rf"^progress={progress!r}: give True for a bar"):
        kk.infer(network, kk.images(1024, 1), progress=progress)


def test_infer(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps()
    network, rows = kk.radixnet(1024, 4), kk.images(1024, 100)
    result = kk.infer(network, rows, progress=steps, space="serial")
    assert {"packing the layers", "compiling workunits", "inference"} <= {*steps.names}
    assert steps.calls[-1] == ("inference", 1.0)
    again = kk.infer(network, rows, progress=True, space="serial")
    assert np.array_equal(again.categories, result.categories)


def test_prune_reports_layers_and_steps() -> None:
    steps = Steps()
    random = np.random.default_rng(0)
    layers = [
        kk.Layer.from_sparse(sp.csr_array(random.normal(size=(32, 32))), 0.0) for _ in range(2)
    ]
    kk.prune(kk.network(layers, None), blocks=4, steps=2, retrain=lambda each: each, progress=steps)
    steps.check_fractions()
    assert steps.calls == [
        ("pruning", 0.0),
        ("pruning", 0.25),
        ("pruning", 0.5),
        ("retraining after step 1 of 2", 0.5),
        ("pruning", 0.75),
        ("pruning", 1.0),
        ("retraining after step 2 of 2", 1.0),
    ]


def test_readers_report_layers(tmp_path: Path) -> None:
    network = kk.radixnet(1024, 2)
    write_network(network, tmp_path, compress=False)
    write_images(kk.images(1024, 3), tmp_path)
    kk.save_npz_network(network, tmp_path / "npz")
    steps = Steps()
    kk.read_network(tmp_path, 1024, 2, layer_cache=0, progress=steps)
    reading = "reading the layers"
    assert steps.calls == [(reading, 0.0), (reading, 0.5), (reading, 1.0)]
    steps = Steps()
    kk.read_npz_network(tmp_path / "npz", progress=steps)
    assert steps.calls == [(reading, 0.0), (reading, 0.5)]
    steps = Steps()
    kk.read_images(tmp_path, 1024, progress=steps)
    assert steps.calls == [("reading the images", 0.0)]


def test_tune_reports_the_part_of_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kkspdnn.tuning.api.keep_tuned", lambda *_, **__: tmp_path / "kept")
    monkeypatch.setattr("kkspdnn.tuning.api.forget_tuned", lambda _: None)
    steps = Steps()
    kk.tune(kk.radixnet(1024, 2), kk.images(1024, 100), seconds=0.5, progress=steps)
    steps.check_fractions()
    assert steps.names == ["packing the layers", "measuring launch parameters"]
    assert len(steps.calls) > 2
