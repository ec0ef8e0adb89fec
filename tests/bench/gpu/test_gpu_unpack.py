"""Unpacking: the cache, missing packages, and environment variables."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from bench.gpu.unpack import CACHE, DATA, DESCRIPTION, EXPECTED, WHEELS, unpack
from kkspdnn.errors import InputError

DESCRIPTION_FIELDS = {
    "arch": "sm_90",
    "kokkos_sources": "kokkos.tar.gz",
    "entries": 1,
    "compiled_by": "nvcc 13",
    "commit": "0123",
}


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    made = tmp_path / "pack"
    (made / WHEELS).mkdir(parents=True)
    (made / DESCRIPTION).write_text(json.dumps(DESCRIPTION_FIELDS))
    entry = tmp_path / "entry"
    entry.write_text("x")
    entry.chmod(0o666)
    with tarfile.open(made / CACHE, "w:xz") as archive:
        archive.add(entry, arcname="cache/workunits/one/entry")
    for name, module in (("kkspdnn_none_such-1.0", "none_such"), ("numpy-0.1", "numpy")):
        with zipfile.ZipFile(made / WHEELS / f"{name}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{module}.py", "number = 7\n")
    return made


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def test_packages_that_are_missing_are_installed(
    pack: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    unpacked = unpack(pack, work)
    assert "installed packages that were missing: kkspdnn-none-such" in unpacked.lines[1]
    program = "import none_such, numpy; print(none_such.number, numpy.__version__ != '7')"
    env = {**os.environ, **unpacked.env}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout == "7 True\n"


def test_the_cache_is_private(pack: Path, work: Path) -> None:
    unpacked = unpack(pack, work)
    cache = Path(unpacked.env["KKSPDNN_CACHE"])
    entry = cache / "workunits" / "one" / "entry"
    assert entry.read_text() == "x"
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert not stat.S_IMODE(entry.stat().st_mode) & 0o022
    assert entry.stat().st_uid == os.getuid()


def test_optional_files_of_a_pack(pack: Path, work: Path, tmp_path: Path) -> None:
    unpacked = unpack(pack, work)
    assert (unpacked.arch, unpacked.expected) == ("sm_90", None)
    assert unpacked.env["KKSPDNN_KOKKOS_SDIST"] == str(pack / "kokkos.tar.gz")
    assert "KKSPDNN_CHALLENGE_DATA" not in unpacked.env
    (pack / DATA).mkdir()
    (pack / EXPECTED).touch()
    again = tmp_path / "again"
    again.mkdir()
    unpacked = unpack(pack, again)
    assert unpacked.expected == pack / EXPECTED
    assert unpacked.env["KKSPDNN_CHALLENGE_DATA"] == str(pack / DATA)


@pytest.mark.parametrize("name", [DESCRIPTION, CACHE])
@pytest.mark.parametrize("content", [None, b"damaged"])
def test_invalid_packs_are_refused(
    pack: Path, work: Path, name: str, content: bytes | None
) -> None:
    (pack / name).unlink()
    if content is not None:
        (pack / name).write_bytes(content)
    with pytest.raises(
        InputError, match="not a usable pack: .*make one with python -m bench.gpu pack"
    ):
        unpack(pack, work)
