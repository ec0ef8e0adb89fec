"""A pack becomes a cache, a folder of packages, and variables."""

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

DESCRIBED = {
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
    (made / DESCRIPTION).write_text(json.dumps(DESCRIBED))
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
    found = unpack(pack, work)
    assert "packages that this Python lacked: kkspdnn-none-such" in found.lines[1]
    program = "import none_such, numpy; print(none_such.number, numpy.__version__ != '7')"
    environment = {**os.environ, **found.environment}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "7 True\n"


def test_the_cache_belongs_to_this_user_alone(pack: Path, work: Path) -> None:
    found = unpack(pack, work)
    cache = Path(found.environment["KKSPDNN_CACHE"])
    entry = cache / "workunits" / "one" / "entry"
    assert entry.read_text() == "x"
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert not stat.S_IMODE(entry.stat().st_mode) & 0o022
    assert entry.stat().st_uid == os.getuid()


def test_what_else_is_in_the_pack(pack: Path, work: Path, tmp_path: Path) -> None:
    found = unpack(pack, work)
    assert (found.arch, found.expected) == ("sm_90", None)
    assert found.environment["KKSPDNN_KOKKOS_SDIST"] == str(pack / "kokkos.tar.gz")
    assert "KKSPDNN_CHALLENGE_DATA" not in found.environment
    (pack / DATA).mkdir()
    (pack / EXPECTED).touch()
    again = tmp_path / "again"
    again.mkdir()
    found = unpack(pack, again)
    assert found.expected == pack / EXPECTED
    assert found.environment["KKSPDNN_CHALLENGE_DATA"] == str(pack / DATA)


@pytest.mark.parametrize("name", [DESCRIPTION, CACHE])
@pytest.mark.parametrize("content", [None, b"damaged"])
def test_what_is_no_pack(pack: Path, work: Path, name: str, content: bytes | None) -> None:
    (pack / name).unlink()
    if content is not None:
        (pack / name).write_bytes(content)
    with pytest.raises(InputError, match="no usable pack: .*make it with python -m bench.gpu pack"):
        unpack(pack, work)
