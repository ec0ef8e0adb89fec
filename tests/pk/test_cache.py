"""The cache on disk: whole keys, damage, locks, interrupts, folders of others."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pykokkos as pk
import pytest

from kkspdnn.errors import CacheError, ToolchainError
from kkspdnn.pk import runtime as runtime_module
from kkspdnn.pk.cache import Cache, default_cache, is_whole
from kkspdnn.pk.dispatch import generate
from kkspdnn.pk.emit import Generated
from kkspdnn.pk.nvcc import Nvcc
from kkspdnn.pk.runtime import Gpu, Toolkit, toolkit
from kkspdnn.pk.toolchain import build_tool

from . import kernels

KEY = {"source": "int x;", "compiler": "g++ 12"}


class Builder:
    """Writes two files and a link, and counts how often."""

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


def leftovers(store: Cache) -> list[Path]:
    return [p for p in store.root.rglob("*") if p.name.startswith(".building")]


def test_an_entry_is_built_once(store: Cache) -> None:
    build = Builder()
    place = store.entry("workunits", "w", KEY, build)
    assert place.parent == store.root / "workunits"
    digest = place.name.removeprefix("w-")
    assert len(digest) == 32
    assert set(digest) <= set("0123456789abcdef")
    assert (place / "lib" / "w.so").read_bytes() == b"machine code"
    assert store.entry("workunits", "w", dict(reversed(KEY.items())), build) == place
    assert build.runs == 1
    assert not leftovers(store)


def test_every_part_of_the_key_counts(store: Cache) -> None:
    build = Builder()
    places = {store.entry("workunits", "w", KEY, build)}
    for name in KEY:
        places.add(store.entry("workunits", "w", KEY | {name: KEY[name] + " "}, build))
    places.add(store.entry("workunits", "w", KEY | {"more": ""}, build))
    assert len(places) == build.runs == 4


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
        lambda p: shutil.rmtree(p),
        lambda p: (shutil.rmtree(p), p.write_text("a file")),
        lambda p: (shutil.rmtree(p), p.mkdir()),
    ],
)
def test_a_damaged_entry_is_rebuilt(store: Cache, damage: Callable[[Path], object]) -> None:
    build = Builder()
    place = store.entry("workunits", "w", KEY, build)
    damage(place)
    assert not is_whole(place, KEY)
    assert store.entry("workunits", "w", KEY, build) == place
    assert build.runs == 2
    assert is_whole(place, KEY)
    assert (place / "lib" / "w.so").read_bytes() == b"machine code"


@pytest.mark.parametrize("error", [ToolchainError("no"), KeyboardInterrupt(), MemoryError()])
def test_a_failed_build_leaves_nothing(store: Cache, error: BaseException) -> None:
    def build(folder: Path) -> None:
        (folder / "half.so").write_text("half")
        raise error

    with pytest.raises(type(error)):
        store.entry("workunits", "w", KEY, build)
    assert [p.name for p in (store.root / "workunits").iterdir() if p.suffix != ".lock"] == []
    assert store.entry("workunits", "w", KEY, Builder()).is_dir()


def test_what_a_killed_process_left_is_cleared_away(store: Cache) -> None:
    place = store.entry("workunits", "w", KEY, Builder())
    shutil.rmtree(place)
    (place.parent / f".building-{place.name}-x1").mkdir()
    (place.parent / ".building-other-123-x1").mkdir()
    store.entry("workunits", "w", KEY, Builder())
    assert [p.name for p in leftovers(store)] == [".building-other-123-x1"]


def test_only_the_owner_may_write_whatever_the_umask(store: Cache) -> None:
    before = os.umask(0)
    try:
        store = Cache(store.root / "below" / "cache")
        store.entry("workunits", "w", KEY, Builder())
    finally:
        os.umask(before)
    for folder in (store.root.parent.parent, store.root, store.root / "workunits"):
        assert folder.stat().st_mode & 0o077 == 0
    store.entry("workunits", "v", KEY, Builder())


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_folder_that_others_may_write_to(store: Cache, mode: int) -> None:
    build = Builder()
    store.entry("workunits", "w", KEY, build)
    store.root.chmod(mode)
    with pytest.raises(CacheError) as caught:
        store.entry("workunits", "w", KEY, build)
    assert str(caught.value) == (
        f"others may write to {store.root} (mode {mode:04o}): run chmod go-w on it, "
        "or set KKSPDNN_CACHE to a folder of your own"
    )
    assert build.runs == 1


def test_a_parent_that_others_may_write_to(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    store = Cache(shared / "cache")
    with pytest.raises(CacheError, match=f"others may write to {shared} "):
        store.entry("workunits", "w", KEY, Builder())
    assert not store.root.exists()
    shared.chmod(0o1777)
    store.entry("workunits", "w", KEY, Builder())


def test_a_folder_of_another_user(store: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    store.entry("workunits", "w", KEY, Builder())
    monkeypatch.setattr(os, "getuid", lambda: store.root.stat().st_uid + 1)
    with pytest.raises(CacheError, match="belongs to another user; set KKSPDNN_CACHE to"):
        store.entry("workunits", "w", KEY, Builder())


def test_places_that_cannot_be_a_cache(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for root, why in (
        (file, f"{file} is not a folder; set KKSPDNN_CACHE to a folder of your own"),
        (
            file / "below",
            f"cannot look at the cache {file}/below: Not a directory; set KKSPDNN_CACHE",
        ),
        (
            Path("/proc/nope"),
            "cannot write to the cache /proc/nope: No such file or directory; set",
        ),
    ):
        with pytest.raises(CacheError) as caught:
            Cache(root).entry("workunits", "w", KEY, Builder())
        assert str(caught.value).startswith(why)
        assert "\n" not in str(caught.value)


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KKSPDNN_CACHE", str(tmp_path / "here"))
    assert default_cache().root == tmp_path / "here"
    monkeypatch.setenv("KKSPDNN_CACHE", "~/there")
    assert default_cache().root == Path.home() / "there"
    monkeypatch.setenv("KKSPDNN_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache().root == tmp_path / "kkspdnn"


# ---- workunits in the cache -------------------------------------------------------------------


@pytest.fixture
def kit(store: Cache, monkeypatch: pytest.MonkeyPatch) -> Toolkit:
    """A toolkit on an empty cache, whose compiler only writes down that it ran."""

    real = toolkit(pk.Serial)

    def run(command: list[object], doing: str, cwd: Path, environment: object) -> str:
        (cwd / "workunit.so").write_text(" ".join(map(str, command)))
        return ""

    monkeypatch.setattr(runtime_module, "run", run)
    return replace(real, cache=store)


def test_the_whole_key_of_a_workunit(kit: Toolkit) -> None:
    generated = generate(kernels.dot, pk.Serial)
    places = [kit.workunit(generated)]
    assert kit.workunit(generated) == places[0]
    texts = [
        replace(generated, text=generated.text + "// changed\n"),
        generate(kernels.dot, pk.OpenMP),
    ]
    places += [kit.workunit(text) for text in texts]
    compiler, kokkos = kit.compiler, kit.kokkos
    nvcc = Nvcc("nvcc", Path("/cuda"), "release 13.0", ("sm_80", "sm_90"))
    gpus = [(nvcc, "sm_80"), (nvcc, "sm_90"), (replace(nvcc, version="release 13.5"), "sm_90")]
    changed = [
        replace(kit, compiler=replace(compiler, version=compiler.version + " (patched)")),
        replace(kit, compiler=replace(compiler, native=compiler.native + " -mavx10")),
        replace(kit, kokkos=replace(kokkos, stamp="another configuration")),
        replace(kit, compile=(*kit.compile, "-DNDEBUG")),
        replace(kit, library=kit.library.with_name("other.so")),
        *(replace(kit, gpu=Gpu(nvcc, arch)) for nvcc, arch in gpus),
    ]
    places += [other.workunit(generated) for other in changed]
    assert len(set(places)) == len(places)


def test_the_types_of_a_launch_are_in_the_key() -> None:
    from kkspdnn.pk.types import DOUBLE, FLOAT, View

    texts = {
        generate(kernels.generic, pk.Serial, (View(kind, 1), View(kind, 1), kind)).text
        for kind in (FLOAT, DOUBLE)
    }
    assert len(texts) == 2


def test_a_damaged_library_is_compiled_again(store: Cache) -> None:
    kit = replace(toolkit(pk.Serial), cache=store)
    generated: Generated = generate(kernels.count_short, pk.Serial)
    library = kit.workunit(generated)
    whole = library.read_bytes()
    os.truncate(library, len(whole) // 2)
    assert kit.workunit(generated) == library
    assert library.stat().st_size == len(whole)
    manifest = json.loads((library.parent / "manifest.json").read_text())
    assert manifest["key"]["source"] == generated.text


# ---- other processes --------------------------------------------------------------------------

PROGRAM = """
import sys
from kkspdnn.pk import provide_pykokkos
provide_pykokkos()
import numpy as np
import pykokkos as pk
import kernels

print("ready", flush=True)
x = np.arange(5.0)
print(pk.parallel_reduce("w", pk.RangePolicy(pk.OpenMP, 0, 5), kernels.dot, x=x, y=x))
"""


@pytest.fixture
def with_kokkos(tmp_path: Path) -> dict[str, str]:
    """The environment of a process whose cache holds Kokkos and no workunit."""
    root = tmp_path / "cache"
    root.mkdir(mode=0o700)
    kit = toolkit(pk.OpenMP)
    for part in (kit.kokkos.config, kit.library):
        if part.is_relative_to(kit.cache.root):
            kind, entry = part.relative_to(kit.cache.root).parts[:2]
            copied = root / kind / entry
            shutil.copytree(kit.cache.root / kind / entry, copied, symlinks=True)
            copied.parent.chmod(0o700)
    folders = [str(Path(__file__).parent), str(Path(runtime_module.__file__).parents[2])]
    return {**os.environ, "KKSPDNN_CACHE": str(root), "PYTHONPATH": os.pathsep.join(folders)}


def start(environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_at_once(with_kokkos: dict[str, str]) -> None:
    both = [start(with_kokkos), start(with_kokkos)]
    for process in both:
        out, error = process.communicate(timeout=300)
        assert (process.returncode, out, error) == (0, "ready\n30.0\n", "")
    root = Path(with_kokkos["KKSPDNN_CACHE"])
    assert len([p for p in (root / "workunits").iterdir() if p.is_dir()]) == 1


def test_an_interrupt_during_a_compile(with_kokkos: dict[str, str], tmp_path: Path) -> None:
    root = Path(with_kokkos["KKSPDNN_CACHE"])
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = start({**with_kokkos, "TMPDIR": str(scratch)})
    deadline = time.monotonic() + 200
    while not list(root.glob("workunits/.building-*/workunit.cpp")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert error.rstrip().endswith("KeyboardInterrupt")
    left = [p for p in (root / "workunits").iterdir() if p.suffix != ".lock"]
    assert left == []
    assert [p for p in scratch.iterdir() if p.name.startswith("kkspdnn")] == []
    again = start(with_kokkos)
    out, error = again.communicate(timeout=300)
    assert (again.returncode, out, error) == (0, "ready\n30.0\n", "")


def test_tools_are_found() -> None:
    assert Path(build_tool("cmake")).is_file()
    assert Path(build_tool("ninja")).is_file()


def test_a_home_that_does_not_exist_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KKSPDNN_CACHE", "~nobody-of-this-name/cache")
    with pytest.raises(CacheError, match="~nobody-of-this-name/cache: .*; name a folder"):
        default_cache()
