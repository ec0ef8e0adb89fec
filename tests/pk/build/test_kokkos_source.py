"""Fetching the sources of Kokkos: only the archive, by its hash, as pip is configured."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import io
import os
import socket
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build import kokkos_source as sdist_module
from kkspdnn.pk.build.kokkos_source import sdist, sources, unpack

NAME = "pykokkos-base-0.0.7.tar.gz"


@pytest.fixture(autouse=True)
def pip_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration of the user's, and no network beyond this machine."""
    for variable in [v for v in os.environ if v.startswith("PIP_") or v.lower().endswith("_proxy")]:
        monkeypatch.delenv(variable)
    monkeypatch.delenv("KKSPDNN_KOKKOS_SDIST", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source distribution whose setup.py and build requirements must not run."""
    made = tmp_path / "made" / NAME
    made.parent.mkdir()
    with tarfile.open(made, "w:gz") as tar:
        for name, text in (
            ("setup.py", f"open({str(tmp_path / 'ran')!r}, 'w')\n"),
            ("pyproject.toml", "[build-system]\nrequires = ['no-such-package']\n"),
            ("external/kokkos/core/src/Kokkos_Macros.hpp", "#include <KokkosCore_config.h>\n"),
            ("external/kokkos/one.txt", "one\n"),
        ):
            member = tarfile.TarInfo(f"pykokkos-base-0.0.7/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    digest = hashlib.sha256(made.read_bytes()).hexdigest()
    monkeypatch.setattr(sdist_module, "SDIST_SHA256", digest)
    return made


class _Quiet(http.server.SimpleHTTPRequestHandler):
    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Authorization")))
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def index(folder: Path) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """A package index on this machine, and what it was asked for."""
    asked: list[tuple[str, str | None]] = []
    handler = type("Handler", (_Quiet,), {"asked": asked})
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def page(folder: Path, archive: Path, fragment: str = "") -> None:
    project = folder / "simple" / "pykokkos-base"
    project.mkdir(parents=True)
    (folder / NAME).write_bytes(archive.read_bytes())
    (project / "index.html").write_text(
        f'<!DOCTYPE html><html><body><a href="/{NAME}{fragment}">{NAME}</a>'
        '<a href="/pykokkos_base-0.0.7-py3-none-any.whl">a wheel</a></body></html>'
    )


def one_line(folder: Path) -> str:
    with pytest.raises(ToolchainError) as caught:
        sdist(folder)
    said = str(caught.value)
    assert "\n" not in said
    return said


def test_from_an_index_with_credentials(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page(tmp_path / "web", archive)
    with index(tmp_path / "web") as (host, asked):
        monkeypatch.setenv("PIP_INDEX_URL", f"http://me:secret@{host}/simple")
        monkeypatch.setenv("PIP_ONLY_BINARY", ":all:")
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        assert sdist(scratch).read_bytes() == archive.read_bytes()
    assert [path for path, _ in asked] == ["/simple/pykokkos-base/", f"/{NAME}"]
    assert all(credentials is not None for _, credentials in asked)
    assert not (tmp_path / "ran").exists()


def test_from_the_configuration_file_and_a_proxy(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy here is the same server, which is asked for whole addresses."""
    with index(tmp_path) as (host, asked):
        config = tmp_path / "pip.conf"
        config.write_text(f"[global]\nindex-url = http://127.0.0.9/simple\nproxy = http://{host}\n")
        monkeypatch.delenv("PIP_INDEX_URL")
        monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
        one_line(tmp_path)
    assert asked[0][0] == "http://127.0.0.9/simple/pykokkos-base/"


def test_from_a_folder(tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(archive.parent))
    assert sdist(tmp_path).read_bytes() == archive.read_bytes()
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "empty"))
    assert "no index or folder that pip knows has it" in one_line(tmp_path)


def test_another_index_has_another_archive(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two, the one with the right content is taken; of one, its hash is told."""
    other = tmp_path / "other" / NAME
    other.parent.mkdir()
    other.write_bytes(b"something else")
    page(tmp_path / "web", other)
    with index(tmp_path / "web") as (host, _):
        monkeypatch.setenv("PIP_INDEX_URL", f"http://{host}/simple")
        said = one_line(tmp_path)
        digest = hashlib.sha256(b"something else").hexdigest()
        assert f"its SHA-256 is {digest}, not {sdist_module.SDIST_SHA256}" in said
        assert not (tmp_path / NAME).exists()
        monkeypatch.setenv("PIP_FIND_LINKS", str(archive.parent))
        assert sdist(tmp_path).read_bytes() == archive.read_bytes()


def test_no_network(tmp_path: Path) -> None:
    said = one_line(tmp_path)
    assert said.startswith("no Kokkos: pip cannot get pykokkos-base 0.0.7 (downloading ")
    assert "Connection refused" in said
    assert said.endswith(
        "check the network, set Kokkos_ROOT to a Kokkos, or KKSPDNN_KOKKOS_SDIST to the .tar.gz"
    )


def test_a_host_that_pip_does_not_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://index.invalid/simple")
    assert "index.invalid is not a trusted or secure host" in one_line(tmp_path)


def test_an_index_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.getsockname()[1]}/simple")
        monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "1")
        begun = time.monotonic()
        said = one_line(tmp_path)
    assert "timed out" in said
    assert time.monotonic() - begun < 30


def test_no_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S -I "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    assert "No module named 'pip'" in one_line(tmp_path)


def test_modules_of_the_working_folder_are_not_taken(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "pip.py").write_text("raise SystemExit('ERROR: another pip')\n")
    monkeypatch.chdir(here)
    monkeypatch.setenv("PIP_FIND_LINKS", str(archive.parent))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert sdist(tmp_path).is_file()


def test_the_one_that_the_user_names(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = tmp_path / NAME
    monkeypatch.setenv("KKSPDNN_KOKKOS_SDIST", str(named))
    assert one_line(tmp_path) == f"KKSPDNN_KOKKOS_SDIST={named}: no such file"
    named.write_bytes(b"something else")
    assert one_line(tmp_path) == (
        f"KKSPDNN_KOKKOS_SDIST={named} is not pykokkos-base 0.0.7: its SHA-256 is "
        "f41f3fa625ff120ddca7ef456bf66371ecea23c129f4e4c32367101edb516cf8"
    )
    monkeypatch.setenv("KKSPDNN_KOKKOS_SDIST", str(tmp_path))
    assert one_line(tmp_path) == f"KKSPDNN_KOKKOS_SDIST={tmp_path}: Is a directory"
    monkeypatch.setenv("KKSPDNN_KOKKOS_SDIST", str(archive))
    assert sdist(tmp_path) == archive


def test_only_kokkos_is_unpacked_and_newer_compilers_are_served(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = unpack(archive, tmp_path / "plain")
    assert sorted(p.name for p in folder.rglob("*.*")) == ["Kokkos_Macros.hpp", "one.txt"]
    monkeypatch.setenv("KKSPDNN_KOKKOS_SDIST", str(archive))
    source = sources(tmp_path / "changed", [("one.txt", "one", "two")])
    assert "#include <cstdint>\n" in (source / "core/src/Kokkos_Macros.hpp").read_text()
    assert (source / "one.txt").read_text() == "two\n"
    with pytest.raises(ToolchainError, match="one.txt: not the expected Kokkos"):
        sources(tmp_path / "again", [("one.txt", "three", "two")])
