"""Contents and errors of `bench.gpu pack`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.gpu import cli, pack

ROOT = Path(__file__).parents[3]

ON_GPU_MACHINE = {"cmake", "ninja", "numpy", "pip", "scipy"}
"""Large packages that every GPU machine has."""


def test_the_dependencies_are_packed() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    dependencies = re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert dependencies is not None
    names = set(re.findall(r'"([a-z0-9-]+)', dependencies[1]))
    assert names - ON_GPU_MACHINE <= set(pack.PACKAGES)


@pytest.mark.slow
def test_uncommitted_changes_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for source in (None, "0123+"):
        monkeypatch.setattr(pack, "source_commit", lambda source=source: source)
        assert cli.main(["pack", str(tmp_path / "p"), "--space", "openmp"]) == 2
        assert "commit or stash your changes first" in capsys.readouterr().err
        assert not (tmp_path / "p").exists()


def test_an_existing_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert cli.main(["pack", str(tmp_path), "--space", "openmp"]) == 2
    assert "already exists" in capsys.readouterr().err


def test_a_pack_that_is_too_large(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fill(folder: Path, _: object) -> dict[str, object]:
        with (folder / "large").open("wb") as file:
            file.truncate(pack.MAX_BYTES + 1)
        return {}

    monkeypatch.setattr(pack, "_fill", fill)
    assert cli.main(["pack", str(tmp_path / "p"), "--space", "openmp"]) == 2
    assert "the pack has 50.0 MB, more than 50 MB; omit --data" in capsys.readouterr().err
    assert not (tmp_path / "p").exists()
