"""`python -m kkspdnn cache`: entries with size and age, and their removal."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from kkspdnn.cli import main
from kkspdnn.pk.build.cache import Cache
from tests.refusals import refusal


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """A cache with two entries of 200,000 bytes, the second one last used three days ago."""
    monkeypatch.setenv("KKSPDNN_CACHE", str(tmp_path / "cache"))
    cache = Cache(tmp_path / "cache")
    for category, name, age in (
        ("kokkos", "openmp", 90),
        ("workunits", "fused_csr", 3 * 86400 + 90),
    ):
        entry = cache.get_or_build(category, name, {}, lambda folder: (folder / "f").touch())
        size = (entry / "manifest.json").stat().st_size
        (entry / "f").write_bytes(bytes(200_000 - size))
        last_use = time.time() - age
        os.utime(entry / "manifest.json", (last_use, last_use))
    return cache


def test_the_list_of_entries(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["cache"]) == 0
    assert capsys.readouterr().out == (
        f"{cache.root}: 2 entries, 0.4 MB\n"
        "  kokkos    openmp            1 entry, 0.2 MB, used 1 minute ago\n"
        "  workunits fused_csr         1 entry, 0.2 MB, used 3 days ago\n"
    )


def test_clearing(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    for options, removed in (
        (["--unused", "4"], "0 entries, 0.0 MB"),
        (["--unused", "3"], "1 entry, "),
        ([], "1 entry, "),
        ([], "0 entries, 0.0 MB"),
    ):
        assert main.main(["cache", "clear", *options]) == 0
        assert capsys.readouterr().out.startswith(f"{cache.root}: removed {removed}")
    assert main.main(["cache"]) == 0
    assert capsys.readouterr().out == f"{cache.root}: 0 entries, 0.0 MB\n"


def test_a_missing_cache_folder(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KKSPDNN_CACHE", str(tmp_path / "cache"))
    for options in ([], ["clear"]):
        assert main.main(["cache", *options]) == 0
        assert "0 entries" in capsys.readouterr().out
    assert not (tmp_path / "cache").exists()


def test_invalid_command_lines(capsys: pytest.CaptureFixture[str], cache: Cache) -> None:
    assert "--unused is for kkspdnn cache clear" in refusal(capsys, "cache", "--unused", "3")
    assert "invalid choice: 'empty'" in refusal(capsys, "cache", "empty")
    assert "unknown option --all" in refusal(capsys, "cache", "clear", "--all")
    assert "'-1' is not a whole number" in refusal(capsys, "cache", "clear", "--unused=-1")
    cache.root.chmod(0o777)
    assert main.main(["cache", "clear"]) == 2
    assert "others may write to" in capsys.readouterr().err
