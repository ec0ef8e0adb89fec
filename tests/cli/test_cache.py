"""`python -m kkspdnn cache`: the folder, its entries with size and age, and clearing it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from kkspdnn.cli import main
from kkspdnn.pk.build.cache import Cache
from tests.refusals import refusal


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """Two entries of 200,000 bytes, the second last used three days ago."""
    monkeypatch.setenv("KKSPDNN_CACHE", str(tmp_path / "cache"))
    made = Cache(tmp_path / "cache")
    for kind, name, age in (("kokkos", "openmp", 90), ("workunits", "fused_csr", 3 * 86400 + 90)):
        place = made.entry(kind, name, {}, lambda folder: (folder / "f").touch())
        size = (place / "manifest.json").stat().st_size
        (place / "f").write_bytes(bytes(200_000 - size))
        then = time.time() - age
        os.utime(place / "manifest.json", (then, then))
    return made


def test_what_is_there(store: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["cache"]) == 0
    assert capsys.readouterr().out == (
        f"{store.root}: 2 entries, 0.4 MB\n"
        "  kokkos    openmp            1 entry, 0.2 MB, used 1 minute ago\n"
        "  workunits fused_csr         1 entry, 0.2 MB, used 3 days ago\n"
    )


def test_clearing(store: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    for options, said in (
        (["--unused", "4"], "0 entries, 0.0 MB"),
        (["--unused", "3"], "1 entry, "),
        ([], "1 entry, "),
        ([], "0 entries, 0.0 MB"),
    ):
        assert main.main(["cache", "clear", *options]) == 0
        assert capsys.readouterr().out.startswith(f"{store.root}: removed {said}")
    assert main.main(["cache"]) == 0
    assert capsys.readouterr().out == f"{store.root}: 0 entries, 0.0 MB\n"


def test_a_folder_that_is_not_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KKSPDNN_CACHE", str(tmp_path / "cache"))
    for options in ([], ["clear"]):
        assert main.main(["cache", *options]) == 0
        assert "0 entries" in capsys.readouterr().out
    assert not (tmp_path / "cache").exists()


def test_mistakes(capsys: pytest.CaptureFixture[str], store: Cache) -> None:
    assert "--unused is for kkspdnn cache clear" in refusal(capsys, "cache", "--unused", "3")
    assert "invalid choice: 'empty'" in refusal(capsys, "cache", "empty")
    assert "unknown option --all" in refusal(capsys, "cache", "clear", "--all")
    assert "'-1' is not a whole number" in refusal(capsys, "cache", "clear", "--unused=-1")
    store.root.chmod(0o777)
    assert main.main(["cache", "clear"]) == 2
    assert "others may write to" in capsys.readouterr().err
