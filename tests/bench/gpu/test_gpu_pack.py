"""What a pack must hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench import facts
from bench.gpu import cli, pack

ROOT = Path(__file__).parents[3]

THERE = {"cmake", "ninja", "numpy", "pip", "scipy"}
"""On every machine with a GPU, and large."""


def test_the_package_s_own_needs_are_packed() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    needs = re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert needs is not None
    names = set(re.findall(r'"([a-z0-9-]+)', needs[1]))
    assert names - THERE <= set(pack.PACKAGES)


def test_what_is_not_committed_cannot_be_packed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for source in (None, "0123+"):
        monkeypatch.setattr(pack, "commit", lambda source=source: source)
        assert cli.main(["pack", str(tmp_path / "p"), "--space", "openmp"]) == 2
        assert "commit or stash your changes first" in capsys.readouterr().err
        assert not (tmp_path / "p").exists()


def test_a_folder_that_is_there_already(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert cli.main(["pack", str(tmp_path), "--space", "openmp"]) == 2
    assert "is there already" in capsys.readouterr().err


def test_a_pack_that_is_too_large(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fill(folder: Path, _: object) -> dict[str, object]:
        with (folder / "large").open("wb") as file:
            file.truncate(pack.MOST_BYTES + 1)
        return {}

    monkeypatch.setattr(pack, "_fill", fill)
    assert cli.main(["pack", str(tmp_path / "p"), "--space", "openmp"]) == 2
    assert "the pack has 50.0 MB, more than 50; leave out --data" in capsys.readouterr().err
    assert not (tmp_path / "p").exists()


def test_the_commit_of_an_archive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """git archive writes it in place of the format; in a clone git is asked."""
    exported = tmp_path / "commit.txt"
    exported.write_text("0123abcd\n")
    monkeypatch.setattr(facts, "_EXPORTED", exported)
    assert facts.commit() == "0123abcd"
    assert "export-subst" in (ROOT / ".gitattributes").read_text()
