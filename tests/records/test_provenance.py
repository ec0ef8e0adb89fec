"""The origin of records: commit, versions and time."""

from __future__ import annotations

import subprocess
from datetime import datetime, timezone
from pathlib import Path

import pytest

from kkspdnn.records import provenance

ROOT = Path(__file__).parents[2]


def test_the_time_and_the_versions() -> None:
    found = provenance.collect_provenance()
    age = datetime.now(timezone.utc) - datetime.fromisoformat(found.created)
    assert 0 <= age.total_seconds() < 60
    assert {"kkspdnn", "python", "system", "numpy", "scipy"} <= set(found.versions)
    assert "unknown" not in found.versions.values()


def test_packages_that_are_not_installed_have_no_version() -> None:
    assert list(provenance.package_versions(["numpy", "no-such-package"])) == ["numpy"]


def test_the_commit_of_an_archive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`git archive` replaces the format string in commit.txt; a clone asks git."""
    exported = tmp_path / "commit.txt"
    exported.write_text("0123abcd\n")
    monkeypatch.setattr(provenance, "_EXPORTED", exported)
    assert provenance.source_commit() == "0123abcd"
    attributes = (ROOT / ".gitattributes").read_text().split()
    assert attributes[attributes.index("export-subst") - 1] == "kkspdnn/data/commit.txt"
    assert (ROOT / "kkspdnn/data/commit.txt").exists()


def test_the_commit_of_a_clone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def git(*words: str) -> str:
        author = ["-c", "user.name=A", "-c", "user.email=a@b.c"]
        command = ["git", "-C", str(tmp_path), *author, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    git("init", "--quiet")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "--quiet", "-m", "first")
    monkeypatch.setattr(provenance, "_ROOT", tmp_path)
    monkeypatch.setattr(provenance, "_EXPORTED", tmp_path / "none")
    assert provenance.source_commit() == git("rev-parse", "HEAD")
    (tmp_path / "file").write_text("2")
    assert provenance.source_commit() == git("rev-parse", "HEAD") + "+"


def test_a_package_inside_another_clone_has_no_commit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A virtual environment often lies in the clone of another project."""
    subprocess.run(["git", "-C", str(tmp_path), "init", "--quiet"], check=True)
    monkeypatch.setattr(provenance, "_ROOT", tmp_path / "lib")
    monkeypatch.setattr(provenance, "_EXPORTED", tmp_path / "none")
    (tmp_path / "lib").mkdir()
    assert provenance.source_commit() is None
