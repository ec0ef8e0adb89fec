"""Files of torch.save that have no state_dict: the message says what to save instead."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import pytest

import kkspdnn as kk
from kkspdnn.errors import InputError
from tests.refusals import refusal

torch = pytest.importorskip("torch")
nn = torch.nn
SAVE = "torch.save(model.state_dict(), FILE)"


class Own(nn.Linear):  # type: ignore[misc, name-defined]
    """A model of a class that PyTorch does not know."""


def saved(folder: Path, content: Any) -> Path:
    torch.save(content, folder / "a.pt")
    return folder / "a.pt"


def message(path: Path) -> str:
    with pytest.raises(InputError) as raised:
        kk.read_dense_network(path)
    text = str(raised.value)
    assert text.startswith(f"{path}: ")
    assert text.isprintable()
    return text.removeprefix(f"{path}: ")


def test_a_whole_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path, nn.Sequential(nn.Linear(4, 3), nn.ReLU()))
    expected = f"holds a whole model, which could run code; save its weights with {SAVE}"
    assert message(path) == expected
    printed = refusal(capsys, "prune", str(path), "--out", str(tmp_path / "out"))
    assert printed == f"kkspdnn: {path}: {expected}\n"
    assert expected in message(saved(tmp_path, {"model": nn.Linear(4, 3), "epoch": 3}))


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_a_torchscript_model(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    torch.jit.save(torch.jit.script(nn.Linear(4, 3)), tmp_path / "a.pt")
    recwarn.clear()
    assert message(tmp_path / "a.pt").startswith("holds a whole model, which could run code")
    assert len(recwarn) == 0


@pytest.mark.parametrize("content", [Own(2, 2), {"arguments": argparse.Namespace()}])
def test_objects_of_other_classes(tmp_path: Path, content: Any) -> None:
    name = "Own" if isinstance(content, Own) else "argparse.Namespace"
    text = message(saved(tmp_path, content))
    assert re.match(rf"holds an object of \S*\b{name}, such as a whole model, which could", text)
    assert text.endswith(SAVE)


def test_a_checkpoint_with_a_state_dict(tmp_path: Path) -> None:
    state = nn.Linear(4, 3).state_dict()
    for content in (
        {"model": state, "epoch": 3},
        {"step": torch.ones(2), "empty": {}, "epoch": 3, "model": state},
    ):
        text = message(saved(tmp_path, content))
        expected = "its entry 'model' is a state_dict: save that alone"
        assert text == f"not a dict of tensors; {expected}"


@pytest.mark.parametrize("content", [[torch.ones(2, 2)], {"epoch": 3}, {3: torch.ones(2)}, 1])
def test_other_content(tmp_path: Path, content: Any) -> None:
    assert message(saved(tmp_path, content)) == f"not a dict of tensors; write it with {SAVE}"


@pytest.mark.parametrize("damage", [b"\x80\x04garbage", b"\x80\x02\x1b[1m"])
def test_damaged_files(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "a.pt").write_bytes(damage)
    text = message(tmp_path / "a.pt")
    assert text.startswith("not a state_dict, or damaged: ")
    assert "weights_only" not in text


def test_batch_norm(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2))
    expected = "a state_dict with BatchNorm cannot be converted without its model; use"
    assert f"{expected} kk.from_torch(model)" in message(saved(tmp_path, model.state_dict()))
