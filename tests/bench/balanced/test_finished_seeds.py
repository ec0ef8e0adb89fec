"""Seeds of an interrupted `train`: each is kept at once, and is not trained again."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import scipy.sparse as sp

import kkspdnn as kk
from bench.balanced import accuracy, cli
from bench.balanced.accuracy import Plan, measure
from bench.balanced.digits import Digits
from bench.balanced.finished_seeds import FinishedSeeds, Settings, seeds_path
from kkspdnn.errors import InputError
from kkspdnn.io.json_schema import read_json

LAYERS = 1024, 16, 16, 10
SETTINGS = Settings(LAYERS, 50, 1, 1, (0.5,), 2, None, "abc", "2.5")


class FakeTrainer:
    """Makes networks of random weights, the same for each seed.

    trained: the seeds, in order
    interrupted: the seed whose training is interrupted
    """

    trained: ClassVar[list[int]]
    interrupted: ClassVar[int | None] = None

    def __init__(self, digits: Digits, epochs: int, retrain_epochs: int, seed: int) -> None:
        assert len(digits.labels) == 50
        self.random = np.random.default_rng(seed)
        self.seed = seed

    def train(self, layers: tuple[int, ...]) -> kk.Network:
        self.trained.append(self.seed)
        weights = [self.random.normal(size=shape) / 8 for shape in pairwise(layers)]
        return kk.network([kk.Layer.from_sparse(sp.csr_array(each), 0.0) for each in weights], None)

    def retrain(self, network: kk.Network) -> kk.Network:
        if self.seed == self.interrupted:
            raise KeyboardInterrupt
        return network


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> type[FakeTrainer]:
    """A trainer for this test, and fewer digits."""

    class Trainer(FakeTrainer):
        trained: ClassVar[list[int]] = []

    random = np.random.default_rng(0)
    images = random.integers(0, 256, (80, 128), dtype=np.uint8)
    few = Digits(images, random.integers(0, 10, 80, dtype=np.uint8))
    monkeypatch.setattr(accuracy, "digits", lambda: (few, few))
    return Trainer


def plan_of(trainer: type[FakeTrainer], seeds: int = 3, folder: Path | None = None) -> Plan:
    return Plan(SETTINGS, seeds, folder, trainer)


@pytest.mark.slow
def test_the_same_command_finishes_an_interrupted_run(
    tmp_path: Path, trainer: type[FakeTrainer]
) -> None:
    file, log = tmp_path / "record.json.seeds", list[str]()
    plan = plan_of(trainer, folder=tmp_path / "nets")
    expected = measure(plan, FinishedSeeds(None, SETTINGS), lambda _: None)
    trainer.trained.clear()
    trainer.interrupted = 1
    with pytest.raises(KeyboardInterrupt):
        measure(plan, FinishedSeeds(file, SETTINGS), lambda _: None)
    assert trainer.trained == [0, 1]
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [file.name]
    assert {each["seed"] for each in read_json(file)["accuracies"]} == {0}
    trainer.trained.clear()
    trainer.interrupted = None
    assert measure(plan, FinishedSeeds(file, SETTINGS), log.append) == expected
    assert trainer.trained == [1, 2]
    assert log[0] == "seed 0 was finished by an interrupted run"
    # With more seeds, the others are kept; with fewer, they are left out.
    trainer.trained.clear()
    more = measure(plan_of(trainer, 4), FinishedSeeds(file, SETTINGS), lambda _: None)
    assert trainer.trained == [3]
    assert more[: len(expected)] == expected
    one = measure(plan_of(trainer, 1), FinishedSeeds(file, SETTINGS), lambda _: None)
    assert one == [each for each in expected if each.seed == 0]


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("epochs", 2, "epochs 1 and not 2"),
        ("retrain_epochs", 2, "retrain epochs 1 and not 2"),
        ("sparsities", (0.5, 0.9), "sparsities (0.5,) and not (0.5, 0.9)"),
        ("commit", None, "commit abc and not None"),
        ("torch", "2.6", "torch 2.5 and not 2.6"),
    ],
)
def test_other_settings_are_refused(name: str, value: object, text: str, tmp_path: Path) -> None:
    file = tmp_path / "record.json.seeds"
    FinishedSeeds(file, SETTINGS).add(())
    with pytest.raises(InputError) as caught:
        FinishedSeeds(file, replace(SETTINGS, **{name: value}))
    assert str(caught.value) == (
        f"{file}: seeds of an interrupted run, with {text}; run with the same to finish it, or "
        "delete the file"
    )


@pytest.mark.parametrize(
    ("text", "message"), [("{", ":1: not JSON"), ("{}", "settings: this field is missing")]
)
def test_an_invalid_file_is_refused(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "record.json.seeds"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        FinishedSeeds(file, SETTINGS)


def test_only_a_record_in_a_file_has_finished_seeds(tmp_path: Path) -> None:
    assert seeds_path(tmp_path / "record.json") == tmp_path / "record.json.seeds"
    assert seeds_path(Path("/dev/null")) is None
    assert seeds_path(None) is None


def test_the_file_is_removed_with_the_record(
    tmp_path: Path, trainer: type[FakeTrainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a failed command keeps it."""
    monkeypatch.setattr(accuracy, "LAYERS", LAYERS)
    plan = Plan

    def with_trainer(settings: Settings, seeds: int, folder: Path | None) -> Plan:
        return plan(replace(settings, images=50), seeds, folder, trainer)

    monkeypatch.setattr(accuracy, "Plan", with_trainer)
    record = tmp_path / "record.json"
    seeds = tmp_path / "record.json.seeds"
    command = ["train", "--seeds", "2", "--blocks", "2", "--sparsities", "0.5", "--json"]
    trainer.interrupted = 1
    assert cli.main([*command, str(record)]) == 130
    assert seeds.exists()
    assert not record.exists()
    assert cli.main([*command, str(record), "--epochs", "9"]) == 2
    assert seeds.exists()
    trainer.interrupted = None
    assert cli.main([*command, str(record)]) == 0
    assert not seeds.exists()
    accuracies = json.loads(record.read_text())["accuracies"]
    assert [each["seed"] for each in accuracies] == [0] * 5 + [1] * 5
    assert trainer.trained == [0, 1, 1]
