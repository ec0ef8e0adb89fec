"""Cached files that others can change are refused: folders, files, links and parent folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kkspdnn.errors import CacheError
from kkspdnn.pk.build.cache import Cache
from kkspdnn.pk.build.file_trust import check_trusted

KEY = {"source": "int x;"}


def build(folder: Path) -> None:
    (folder / "lib").mkdir()
    (folder / "lib" / "w.so").write_bytes(b"machine code")


@pytest.fixture
def store(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def entry(store: Cache) -> Path:
    return store.get_or_build("workunits", "w", KEY, build)


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
@pytest.mark.parametrize("below", ["", "workunits", "ENTRY", "ENTRY/lib", "ENTRY/lib/w.so"])
def test_files_that_others_may_write_to(store: Cache, entry: Path, below: str, mode: int) -> None:
    writable = store.root / below.replace("ENTRY", str(entry.relative_to(store.root)))
    writable.chmod(mode)
    with pytest.raises(CacheError) as caught:
        store.get_or_build("workunits", "w", KEY, build)
    assert str(caught.value) == (
        f"others may write to {writable} (mode {mode:04o}): run chmod -R go-w on it, "
        "or set KKSPDNN_CACHE to a folder of your own"
    )
    writable.chmod(0o700)
    assert store.get_or_build("workunits", "w", KEY, build) == entry


@pytest.mark.skipif(os.getuid() != 0, reason="only root can change the owner of a file")
@pytest.mark.parametrize("below", ["", "workunits", "ENTRY", "ENTRY/lib", "ENTRY/lib/w.so"])
def test_files_of_another_user(store: Cache, entry: Path, below: str) -> None:
    foreign = store.root / below.replace("ENTRY", str(entry.relative_to(store.root)))
    os.chown(foreign, 12345, 12345)
    with pytest.raises(CacheError) as caught:
        store.get_or_build("workunits", "w", KEY, build)
    assert str(caught.value) == (
        f"{foreign} belongs to another user; set KKSPDNN_CACHE to a folder of your own"
    )


def test_files_of_root_are_trusted(
    store: Cache, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if entry.stat().st_uid != 0:
        pytest.skip("only root can create files of root")
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert store.find("workunits", "w", KEY) == entry


def test_a_folder_of_another_user(
    store: Cache, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if entry.stat().st_uid == 0:
        pytest.skip("files of root are trusted")
    monkeypatch.setattr(os, "getuid", lambda: store.root.stat().st_uid + 1)
    with pytest.raises(CacheError, match="belongs to another user; set KKSPDNN_CACHE to"):
        store.get_or_build("workunits", "w", KEY, build)


def test_a_parent_that_others_may_write_to(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    store = Cache(shared / "cache")
    with pytest.raises(CacheError, match=f"others may write to {shared} "):
        store.get_or_build("workunits", "w", KEY, build)
    assert not store.root.exists()
    shared.chmod(0o1777)
    store.get_or_build("workunits", "w", KEY, build)


@pytest.mark.parametrize("through", ["cache", "folder", "two", "relative"])
def test_the_target_of_a_link_is_checked(tmp_path: Path, through: str) -> None:
    """A folder is refused by its own path and through each link."""
    opened = tmp_path / "open"
    opened.mkdir()
    (opened / "c").mkdir(mode=0o700)
    link = tmp_path / "link"
    if through == "cache":
        link.symlink_to(opened / "c")
        root = link
    elif through == "folder":
        link.symlink_to(opened)
        root = link / "c"
    elif through == "two":
        (opened / "second").symlink_to("c")
        link.symlink_to(opened / "second")
        root = link
    else:
        (tmp_path / "beside").mkdir()
        link = tmp_path / "beside" / "link"
        link.symlink_to("../open/c")
        root = link
    for mode, refused in ((0o777, True), (0o1777, False), (0o755, False)):
        opened.chmod(mode)
        for name in (opened / "c", root):
            if refused:
                with pytest.raises(CacheError, match=f"others may write to {opened} "):
                    check_trusted(name)
            else:
                check_trusted(name)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can change the owner of a link")
def test_a_link_of_another_user(tmp_path: Path) -> None:
    """In a sticky folder, the owner of the link may change its target later."""
    (tmp_path / "mine").mkdir(mode=0o700)
    link = tmp_path / "link"
    link.symlink_to("mine")
    check_trusted(link)
    os.lchown(link, 12345, 12345)
    with pytest.raises(CacheError, match=f"{link} belongs to another user"):
        check_trusted(link)


def test_links_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(CacheError, match=r"a/c: too many symbolic links; set KKSPDNN_CACHE"):
        check_trusted(tmp_path / "a" / "c")


def test_a_category_folder_that_is_a_link(store: Cache, entry: Path, tmp_path: Path) -> None:
    entry.parent.rename(tmp_path / "elsewhere")
    entry.parent.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CacheError, match=f"{entry.parent} is a symbolic link; remove it"):
        store.get_or_build("workunits", "w", KEY, build)


def test_paths_that_cannot_be_a_cache(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for root, message in (
        (file, f"{file} is not a folder; set KKSPDNN_CACHE to a folder of your own"),
        (file / "below", f"{file} is not a folder; set KKSPDNN_CACHE to a folder of your own"),
        (
            Path("/proc/nope"),
            "cannot write to the cache /proc/nope: No such file or directory; set",
        ),
    ):
        with pytest.raises(CacheError) as caught:
            Cache(root).get_or_build("workunits", "w", KEY, build)
        assert str(caught.value).startswith(message)
        assert "\n" not in str(caught.value)
