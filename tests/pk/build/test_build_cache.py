"""The cache: keys, damaged entries, locks, interrupts, read-only folders."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kkspdnn.errors import CacheError, ToolchainError
from kkspdnn.pk.build import locks
from kkspdnn.pk.build.cache import Cache, default_cache, is_intact, mark_used, remove_entry

KEY = {"source": "int x;", "compiler": "g++ 12"}


class Builder:
    """Writes two files and a link, and counts its calls."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, folder: Path) -> None:
        self.runs += 1
        (folder / "lib").mkdir()
        (folder / "lib" / "w.so.1").write_bytes(b"machine code")
        (folder / "lib" / "w.so").symlink_to("w.so.1")
        (folder / "w.cpp").write_text("int x;")


@pytest.fixture
def store(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def change_files(entry: Path, change: Callable[[dict[str, str]], object]) -> None:
    """Change the files that the manifest of an entry lists."""
    manifest = json.loads((entry / "manifest.json").read_text())
    change(manifest["files"])
    (entry / "manifest.json").write_text(json.dumps(manifest))


def leftovers(store: Cache) -> list[Path]:
    return [p for p in store.root.rglob("*") if p.name.startswith(".building")]


def test_an_entry_is_built_once(store: Cache) -> None:
    build = Builder()
    entry = store.get_or_build("workunits", "w", KEY, build)
    assert entry.parent == store.root / "workunits"
    digest = entry.name.removeprefix("w-")
    assert len(digest) == 32
    assert set(digest) <= set("0123456789abcdef")
    assert (entry / "lib" / "w.so").read_bytes() == b"machine code"
    assert store.get_or_build("workunits", "w", dict(reversed(KEY.items())), build) == entry
    assert build.runs == 1
    assert not leftovers(store)


def test_every_field_of_the_key_counts(store: Cache) -> None:
    build = Builder()
    entries = {store.get_or_build("workunits", "w", KEY, build)}
    for name in KEY:
        entries.add(store.get_or_build("workunits", "w", KEY | {name: KEY[name] + " "}, build))
    entries.add(store.get_or_build("workunits", "w", KEY | {"more": ""}, build))
    assert len(entries) == build.runs == 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: os.truncate(p / "lib" / "w.so.1", 5),
        lambda p: (p / "lib" / "w.so.1").write_bytes(b"nachine code"),
        lambda p: (p / "lib" / "w.so.1").unlink(),
        lambda p: (p / "lib" / "w.so").unlink(),
        lambda p: (p / "manifest.json").unlink(),
        lambda p: (p / "manifest.json").write_text("{"),
        lambda p: (p / "manifest.json").write_bytes(b"\xff\xfe\x00"),
        lambda p: (p / "manifest.json").write_text("[1, 2]"),
        lambda p: (p / "manifest.json").write_text('{"files": {}}'),
        lambda p: (p / "manifest.json").write_text('{"key": {}, "files": {}}'),
        lambda p: (p / "manifest.json").write_text('{"files": ["w.cpp"], "key": 3}'),
        lambda p: os.truncate(p / "manifest.json", 40),
        lambda p: change_files(p, dict.clear),
        lambda p: change_files(p, lambda files: files.pop("lib/w.so.1")),
        lambda p: change_files(p, lambda files: files.update(more="0")),
        lambda p: (p / "lib" / "unlisted.so").write_bytes(b"machine code"),
        lambda p: (p / "lib" / "unlisted.so").symlink_to("w.so.1"),
        lambda p: ((p / "lib" / "w.so").unlink(), (p / "lib" / "w.so").symlink_to("/bin/sh")),
        lambda p: (p.rename(p.with_name("elsewhere")), p.symlink_to("elsewhere")),
        lambda p: shutil.rmtree(p),
        lambda p: (shutil.rmtree(p), p.write_text("a file")),
        lambda p: (shutil.rmtree(p), p.mkdir()),
    ],
)
def test_a_damaged_entry_is_rebuilt(store: Cache, damage: Callable[[Path], object]) -> None:
    build = Builder()
    entry = store.get_or_build("workunits", "w", KEY, build)
    damage(entry)
    assert not is_intact(entry, KEY)
    assert store.get_or_build("workunits", "w", KEY, build) == entry
    assert build.runs == 2
    assert is_intact(entry, KEY)
    assert (entry / "lib" / "w.so").read_bytes() == b"machine code"


@pytest.mark.parametrize("error", [ToolchainError("no"), KeyboardInterrupt(), MemoryError()])
def test_a_failed_build_leaves_nothing(store: Cache, error: BaseException) -> None:
    def build(folder: Path) -> None:
        (folder / "half.so").write_text("half")
        raise error

    with pytest.raises(type(error)):
        store.get_or_build("workunits", "w", KEY, build)
    assert [p.name for p in (store.root / "workunits").iterdir() if p.suffix != ".lock"] == []
    assert store.get_or_build("workunits", "w", KEY, Builder()).is_dir()


def test_the_folder_of_a_killed_build_is_removed(store: Cache) -> None:
    entry = store.get_or_build("workunits", "w", KEY, Builder())
    shutil.rmtree(entry)
    (entry.parent / f".building-{entry.name}-x1").mkdir()
    (entry.parent / ".building-other-123-x1").mkdir()
    store.get_or_build("workunits", "w", KEY, Builder())
    assert [p.name for p in leftovers(store)] == [".building-other-123-x1"]


def test_only_the_owner_may_write_whatever_the_umask(store: Cache) -> None:
    before = os.umask(0)
    try:
        store = Cache(store.root / "below" / "cache")
        store.get_or_build("workunits", "w", KEY, Builder())
    finally:
        os.umask(before)
    for folder in (store.root.parent.parent, store.root, store.root / "workunits"):
        assert folder.stat().st_mode & 0o077 == 0
    store.get_or_build("workunits", "v", KEY, Builder())


def test_the_folder_of_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KKSPDNN_CACHE", str(tmp_path / "here"))
    assert default_cache().root == tmp_path / "here"
    monkeypatch.setenv("KKSPDNN_CACHE", "~/there")
    assert default_cache().root == Path.home() / "there"
    monkeypatch.setenv("KKSPDNN_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache().root == tmp_path / "kkspdnn"


def test_entries_are_as_readable_as_the_cache_folder(store: Cache) -> None:
    store.root.mkdir(mode=0o755)
    store.root.chmod(0o755)
    entry = store.get_or_build("workunits", "w", KEY, Builder())
    modes = {path.name: path.lstat().st_mode & 0o777 for path in [entry, *entry.rglob("*")]}
    assert modes.pop("w.so") == 0o777  # a symbolic link
    assert modes == {
        entry.name: 0o755,
        "lib": 0o755,
        "w.so.1": 0o644,
        "w.cpp": 0o644,
        "manifest.json": 0o644,
    }


def test_the_umask_of_a_build_does_not_matter(store: Cache) -> None:
    before = os.umask(0)
    try:
        entry = store.get_or_build("workunits", "w", KEY, Builder())
    finally:
        os.umask(before)
    assert not any(path.stat().st_mode & 0o022 for path in entry.rglob("*"))
    assert store.find("workunits", "w", KEY) == entry


def test_an_entry_may_be_copied(store: Cache, tmp_path: Path) -> None:
    entry = store.get_or_build("workunits", "w", KEY, Builder())
    shutil.copytree(store.root, tmp_path / "copy", symlinks=True)
    copied = Cache(tmp_path / "copy").find("workunits", "w", KEY)
    assert copied == tmp_path / "copy" / entry.relative_to(store.root)


def test_the_time_of_last_use(store: Cache) -> None:
    entry = store.get_or_build("workunits", "w", KEY, Builder())
    manifest = entry / "manifest.json"
    for age, marked in ((10, False), (1_000_000, True), (-1_000_000, True)):
        then = time.time() - age
        os.utime(manifest, (then, then))
        store.find("workunits", "w", KEY)
        assert (abs(manifest.stat().st_mtime - time.time()) < 5) == marked or age == 10
        assert (manifest.stat().st_mtime != pytest.approx(then, abs=1)) == marked
    manifest.unlink()
    mark_used(entry)
    assert not manifest.exists()


def test_an_entry_is_removed_unless_it_is_being_built(store: Cache) -> None:
    entry = store.get_or_build("workunits", "w", KEY, Builder())
    with locks.exclusive(entry.with_name(f"{entry.name}.lock"), "build it"):
        assert not remove_entry(entry)
        assert is_intact(entry, KEY)
    assert remove_entry(entry)
    assert not entry.exists()
    assert remove_entry(entry)


@pytest.fixture
def read_only(store: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """A read-only cache with one entry, and the user's own cache as its fallback.

    Root may write to all folders, so that os.access is replaced.
    """
    store.get_or_build("workunits", "w", KEY, Builder())
    real = os.access

    def access(path: Path, mode: int) -> bool:
        return not Path(path).is_relative_to(store.root) and real(path, mode)

    monkeypatch.setattr(os, "access", access)
    monkeypatch.setenv("KKSPDNN_CACHE", str(store.root))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    return default_cache()


def test_missing_entries_of_a_read_only_cache_are_built_in_the_user_s(
    read_only: Cache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = sorted(read_only.root.rglob("*"))
    own = tmp_path / "home" / "kkspdnn"
    assert read_only.roots == (read_only.root, own)
    build = Builder()
    assert read_only.get_or_build("workunits", "w", KEY, build).is_relative_to(read_only.root)
    assert build.runs == 0
    assert not own.exists()
    with caplog.at_level(logging.INFO, "kkspdnn.progress"):
        entry = read_only.get_or_build("workunits", "v", KEY, build)
        assert read_only.get_or_build("workunits", "v", KEY, build) == entry
        read_only.get_or_build("workunits", "u", KEY, build)
    assert entry.parent == own / "workunits"
    assert build.runs == 2
    assert caplog.messages == [f"the cache {read_only.root} is read-only; building in {own}"]
    assert sorted(read_only.root.rglob("*")) == before
    assert {key["source"] for key in read_only.keys("workunits", "v")} == {"int x;"}


def test_a_fallback_folder_of_others_is_an_error_only_if_it_is_needed(
    read_only: Cache, tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home").chmod(0o777)
    build = Builder()
    assert read_only.get_or_build("workunits", "w", KEY, build).is_relative_to(read_only.root)
    with pytest.raises(CacheError, match=f"others may write to {tmp_path / 'home'}"):
        read_only.get_or_build("workunits", "v", KEY, build)
    assert build.runs == 0


def test_a_writable_cache_has_no_fallback(store: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    store.root.mkdir()
    monkeypatch.setenv("KKSPDNN_CACHE", str(store.root))
    assert default_cache() == store


def test_a_home_folder_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KKSPDNN_CACHE", "~nobody-of-this-name/cache")
    with pytest.raises(CacheError, match="~nobody-of-this-name/cache: .*; name a folder"):
        default_cache()
