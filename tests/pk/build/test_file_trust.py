"""Who may write to what is loaded: folders, files, links and what leads to them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kkspdnn.errors import CacheError
from kkspdnn.pk.build.cache import Cache
from kkspdnn.pk.build.file_trust import refuse_shared

KEY = {"source": "int x;"}


def build(folder: Path) -> None:
    (folder / "lib").mkdir()
    (folder / "lib" / "w.so").write_bytes(b"machine code")


@pytest.fixture
def store(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def place(store: Cache) -> Path:
    return store.entry("workunits", "w", KEY, build)


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
@pytest.mark.parametrize("below", ["", "workunits", "ENTRY", "ENTRY/lib", "ENTRY/lib/w.so"])
def test_what_others_may_write_to(store: Cache, place: Path, below: str, mode: int) -> None:
    spoiled = store.root / below.replace("ENTRY", str(place.relative_to(store.root)))
    spoiled.chmod(mode)
    with pytest.raises(CacheError) as caught:
        store.entry("workunits", "w", KEY, build)
    assert str(caught.value) == (
        f"others may write to {spoiled} (mode {mode:04o}): run chmod -R go-w on it, "
        "or set KKSPDNN_CACHE to a folder of your own"
    )
    spoiled.chmod(0o700)
    assert store.entry("workunits", "w", KEY, build) == place


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("below", ["", "workunits", "ENTRY", "ENTRY/lib", "ENTRY/lib/w.so"])
def test_what_another_user_has(store: Cache, place: Path, below: str) -> None:
    other = store.root / below.replace("ENTRY", str(place.relative_to(store.root)))
    os.chown(other, 12345, 12345)
    with pytest.raises(CacheError) as caught:
        store.entry("workunits", "w", KEY, build)
    assert str(caught.value) == (
        f"{other} belongs to another user; set KKSPDNN_CACHE to a folder of your own"
    )


def test_what_root_has_is_trusted(
    store: Cache, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place.stat().st_uid != 0:
        pytest.skip("only root can make files of root")
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert store.find("workunits", "w", KEY) == place


def test_a_folder_of_another_user(
    store: Cache, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place.stat().st_uid == 0:
        pytest.skip("everybody trusts root")
    monkeypatch.setattr(os, "getuid", lambda: store.root.stat().st_uid + 1)
    with pytest.raises(CacheError, match="belongs to another user; set KKSPDNN_CACHE to"):
        store.entry("workunits", "w", KEY, build)


def test_a_parent_that_others_may_write_to(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    store = Cache(shared / "cache")
    with pytest.raises(CacheError, match=f"others may write to {shared} "):
        store.entry("workunits", "w", KEY, build)
    assert not store.root.exists()
    shared.chmod(0o1777)
    store.entry("workunits", "w", KEY, build)


@pytest.mark.parametrize("through", ["cache", "folder", "two", "relative"])
def test_where_a_link_leads_is_looked_at(tmp_path: Path, through: str) -> None:
    """The folder is refused by its own name, and by every other."""
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
                    refuse_shared(name)
            else:
                refuse_shared(name)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give links away")
def test_a_link_of_another_user(tmp_path: Path) -> None:
    """In a sticky folder: whoever has the link may turn it to another folder later."""
    (tmp_path / "mine").mkdir(mode=0o700)
    link = tmp_path / "link"
    link.symlink_to("mine")
    refuse_shared(link)
    os.lchown(link, 12345, 12345)
    with pytest.raises(CacheError, match=f"{link} belongs to another user"):
        refuse_shared(link)


def test_links_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(CacheError, match=r"a/c: too many symbolic links; set KKSPDNN_CACHE"):
        refuse_shared(tmp_path / "a" / "c")


def test_a_kind_s_folder_that_is_a_link(store: Cache, place: Path, tmp_path: Path) -> None:
    place.parent.rename(tmp_path / "elsewhere")
    place.parent.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CacheError, match=f"{place.parent} is a symbolic link; remove it"):
        store.entry("workunits", "w", KEY, build)


def test_places_that_cannot_be_a_cache(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for root, why in (
        (file, f"{file} is not a folder; set KKSPDNN_CACHE to a folder of your own"),
        (file / "below", f"{file} is not a folder; set KKSPDNN_CACHE to a folder of your own"),
        (
            Path("/proc/nope"),
            "cannot write to the cache /proc/nope: No such file or directory; set",
        ),
    ):
        with pytest.raises(CacheError) as caught:
            Cache(root).entry("workunits", "w", KEY, build)
        assert str(caught.value).startswith(why)
        assert "\n" not in str(caught.value)
