"""Downloading the sources of Kokkos: with pip's configuration, checked by their hash."""

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
from kkspdnn.pk.build import kokkos_source
from kkspdnn.pk.build.kokkos_source import fetch_sdist, fetch_sources, unpack

NAME = "pykokkos-base-0.0.7.tar.gz"


@pytest.fixture(autouse=True)
def isolated_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the user's configuration of pip; use no network outside this machine."""
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
    path = tmp_path / "archive" / NAME
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as tar:
        for name, text in (
            ("setup.py", f"open({str(tmp_path / 'ran')!r}, 'w')\n"),
            ("pyproject.toml", "[build-system]\nrequires = ['no-such-package']\n"),
            ("external/kokkos/core/src/Kokkos_Macros.hpp", "#include <KokkosCore_config.h>\n"),
            ("external/kokkos/one.txt", "one\n"),
        ):
            member = tarfile.TarInfo(f"pykokkos-base-0.0.7/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(kokkos_source, "SDIST_SHA256", digest)
    return path


class _RecordingHandler(http.server.SimpleHTTPRequestHandler):
    requests: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.requests.append((self.path, self.headers.get("Authorization")))
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def index(folder: Path) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """Run a package index on this machine; yield its address and the list of its requests.

    A request is a path and its credentials.
    """
    requests: list[tuple[str, str | None]] = []
    handler = type("Handler", (_RecordingHandler,), {"requests": requests})
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write_index(folder: Path, archive: Path) -> None:
    """Write the folder of an index with this archive and a wheel."""
    project = folder / "simple" / "pykokkos-base"
    project.mkdir(parents=True)
    (folder / NAME).write_bytes(archive.read_bytes())
    (project / "index.html").write_text(
        f'<!DOCTYPE html><html><body><a href="/{NAME}">{NAME}</a>'
        '<a href="/pykokkos_base-0.0.7-py3-none-any.whl">a wheel</a></body></html>'
    )


def error_message(folder: Path) -> str:
    """Return the message of a failed download, which is one line."""
    with pytest.raises(ToolchainError) as caught:
        fetch_sdist(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_an_index_with_credentials(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_index(tmp_path / "web", archive)
    with index(tmp_path / "web") as (host, requests):
        monkeypatch.setenv("PIP_INDEX_URL", f"http://me:secret@{host}/simple")
        monkeypatch.setenv("PIP_ONLY_BINARY", ":all:")
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        assert fetch_sdist(scratch).read_bytes() == archive.read_bytes()
    assert [path for path, _ in requests] == ["/simple/pykokkos-base/", f"/{NAME}"]
    assert all(credentials is not None for _, credentials in requests)
    assert not (tmp_path / "ran").exists()


def test_the_configuration_file_and_a_proxy(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy is the same server; requests to a proxy contain the full address."""
    with index(tmp_path) as (host, requests):
        config = tmp_path / "pip.conf"
        config.write_text(f"[global]\nindex-url = http://127.0.0.9/simple\nproxy = http://{host}\n")
        monkeypatch.delenv("PIP_INDEX_URL")
        monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
        error_message(tmp_path)
    assert requests[0][0] == "http://127.0.0.9/simple/pykokkos-base/"


def test_a_local_folder(tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(archive.parent))
    assert fetch_sdist(tmp_path).read_bytes() == archive.read_bytes()
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "empty"))
    assert "no index or folder of pip has it" in error_message(tmp_path)


def test_an_archive_with_another_hash(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If there are two archives, the one with the right hash is used."""
    other = tmp_path / "other" / NAME
    other.parent.mkdir()
    other.write_bytes(b"something else")
    write_index(tmp_path / "web", other)
    with index(tmp_path / "web") as (host, _):
        monkeypatch.setenv("PIP_INDEX_URL", f"http://{host}/simple")
        message = error_message(tmp_path)
        digest = hashlib.sha256(b"something else").hexdigest()
        assert f"its SHA-256 is {digest}, not {kokkos_source.SDIST_SHA256}" in message
        assert not (tmp_path / NAME).exists()
        monkeypatch.setenv("PIP_FIND_LINKS", str(archive.parent))
        assert fetch_sdist(tmp_path).read_bytes() == archive.read_bytes()


def test_no_network(tmp_path: Path) -> None:
    message = error_message(tmp_path)
    assert message.startswith("no Kokkos: pip cannot download pykokkos-base 0.0.7 (downloading ")
    assert "Connection refused" in message
    assert message.endswith(
        "check the network, set Kokkos_ROOT to a Kokkos, or KKSPDNN_KOKKOS_SDIST to the .tar.gz"
    )


def test_a_host_that_pip_does_not_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://index.invalid/simple")
    assert "index.invalid is not a trusted or secure host" in error_message(tmp_path)


def test_an_index_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.getsockname()[1]}/simple")
        monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "1")
        start = time.monotonic()
        message = error_message(tmp_path)
    # The second is the message of pip 26.
    assert "timed out" in message or "respond within" in message
    assert time.monotonic() - start < 30


def test_no_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S -I "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    assert "No module named 'pip'" in error_message(tmp_path)


def test_modules_in_the_working_folder_are_not_imported(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "pip.py").write_text("raise SystemExit('ERROR: another pip')\n")
    monkeypatch.chdir(here)
    monkeypatch.setenv("PIP_FIND_LINKS", str(archive.parent))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert fetch_sdist(tmp_path).is_file()


def test_an_archive_that_the_user_names(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = tmp_path / NAME
    monkeypatch.setenv("KKSPDNN_KOKKOS_SDIST", str(named))
    assert error_message(tmp_path) == f"KKSPDNN_KOKKOS_SDIST={named}: no such file"
    named.write_bytes(b"something else")
    assert error_message(tmp_path) == (
        f"KKSPDNN_KOKKOS_SDIST={named} is not pykokkos-base 0.0.7: its SHA-256 is "
        "f41f3fa625ff120ddca7ef456bf66371ecea23c129f4e4c32367101edb516cf8"
    )
    monkeypatch.setenv("KKSPDNN_KOKKOS_SDIST", str(tmp_path))
    assert error_message(tmp_path) == f"KKSPDNN_KOKKOS_SDIST={tmp_path}: Is a directory"
    monkeypatch.setenv("KKSPDNN_KOKKOS_SDIST", str(archive))
    assert fetch_sdist(tmp_path) == archive


def test_only_kokkos_is_unpacked_and_patches_are_applied(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = unpack(archive, tmp_path / "plain")
    assert sorted(p.name for p in folder.rglob("*.*")) == ["Kokkos_Macros.hpp", "one.txt"]
    monkeypatch.setenv("KKSPDNN_KOKKOS_SDIST", str(archive))
    source = fetch_sources(tmp_path / "patched", [("one.txt", "one", "two")])
    assert "#include <cstdint>\n" in (source / "core/src/Kokkos_Macros.hpp").read_text()
    assert (source / "one.txt").read_text() == "two\n"
    with pytest.raises(
        ToolchainError, match="one.txt: not Kokkos 3.4.01, as 'three' does not occur once"
    ):
        fetch_sources(tmp_path / "again", [("one.txt", "three", "two")])
