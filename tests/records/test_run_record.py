"""The record as JSON, and files that are written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import threading
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from kkspdnn.choices import EPILOGUES, Epilogue
from kkspdnn.errors import InputError
from kkspdnn.inference import infer
from kkspdnn.io.json_schema import decode
from kkspdnn.model.radixnet import radixnet
from kkspdnn.records.run import Record, Verification, categories_sha256, check_writable, write_text


@pytest.fixture(scope="module")
def record() -> Record:
    return infer(radixnet(64, 2), np.ones((3, 64), np.float32), verify="full").record


def test_json_has_every_field(record: Record) -> None:
    decoded = json.loads(record.to_json())
    assert set(decoded) == {field.name for field in fields(Record)}
    assert set(decoded["verified"]) == {field.name for field in fields(Verification)}
    assert decoded["verified"]["mode"] == "full"
    assert record.to_json().endswith("}\n")


def test_an_older_record_without_optional_fields(record: Record) -> None:
    older = json.loads(record.to_json())
    for name in ("epilogue", "kernel_auto", "activation_density"):
        del older[name]
    assert decode(Record, older, "older.json") == record
    for name in ("created", "commit", "versions", "schema"):
        del older[name]
    expected = replace(record, created=None, commit=None, versions={})
    assert decode(Record, older, "older.json") == expected
    assert (record.schema, record.created is None) == ("kkspdnn-run/1", False)


@pytest.mark.parametrize("epilogue", EPILOGUES)
def test_the_epilogue_of_spgemm(epilogue: Epilogue) -> None:
    net, rows = radixnet(64, 2), np.ones((3, 64), np.float32)
    found = infer(net, rows, space="serial", kernel="spgemm", epilogue=epilogue).record
    assert found.epilogue == epilogue
    assert decode(Record, json.loads(found.to_json()), "record.json") == found


def test_json_has_no_infinity(record: Record) -> None:
    verified = replace(record.verified, bound=float("inf"), max_abs_error=float("nan"))
    text = replace(record, verified=verified, edges_per_second=float("inf")).to_json()

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    decoded = json.loads(text, parse_constant=refuse)
    assert decoded["verified"]["bound"] is None
    assert decoded["verified"]["max_abs_error"] is None
    assert decoded["edges_per_second"] is None
    assert decoded["layers"] == 2


def test_the_hash_is_of_the_numbers_joined_by_newlines() -> None:
    assert categories_sha256(np.array([3, 10, 200])) == hashlib.sha256(b"3\n10\n200").hexdigest()
    assert categories_sha256(np.array([], np.int64)) == hashlib.sha256(b"").hexdigest()


def test_a_file_is_replaced_atomically(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text("old")
    before = file.open()
    write_text(file, "new")
    assert file.read_text() == "new"
    assert before.read() == "old", "the file was changed in place"
    before.close()
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~umask
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_links_stay_links(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target" / "file")
    check_writable(tmp_path / "link")
    write_text(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target" / "file").read_text() == "text"


def test_a_pipe_is_written_in_place(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    check_writable(pipe)
    write_text(pipe, "text")
    reader.join(10)
    assert read == ["text"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_device_stays_a_device() -> None:
    check_writable(Path("/dev/null"))
    write_text(Path("/dev/null"), "text")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing/a.json", "is not a folder; make it first"),
        (".", "is a folder; give the name of a file"),
        ("file/a.json", "is not a folder|Not a directory"),
        ("/proc/kkspdnn.json", "cannot be written: No such file"),
        ("a" * 300, "cannot be written: File name too long"),
    ],
)
def test_a_path_that_cannot_be_written_is_refused_before_and_during_the_write(
    tmp_path: Path, path: str, message: str
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=message):
        check_writable(tmp_path / path)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    if path.startswith("/proc"):
        with pytest.raises(InputError, match="cannot be written"):
            write_text(tmp_path / path, "text")
