"""The content hash against published values of XXH64, for any sequence of updates."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from kkspdnn.io import tsv_parser
from kkspdnn.io.content_hash import ContentHash, HashedReader, content_hash, hash_file


@pytest.fixture(params=[0, 1 << 40], ids=["xxh64-twice", "blake2b-128"])
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both algorithms, for contents of any length."""
    monkeypatch.setattr(tsv_parser, "MIN_COMPILED_BYTES", request.param)
    return "blake2b-128" if request.param else "xxh64-twice"


def new(name: str) -> ContentHash:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tsv_parser, "MIN_COMPILED_BYTES", 0 if name == "xxh64-twice" else 1 << 40)
        return content_hash(1)


@pytest.mark.parametrize(
    ("content", "first_half"),
    [
        (b"", "ef46db3751d8e999"),
        (b"a", "d24ec4f1a98c6e5b"),
        (b"abc", "44bc2cf5ad770999"),
        (b"Nobody inspects the spammish repetition", "fbcea83c8a378bf1"),
    ],
)
def test_the_first_half_is_xxh64_of_seed_0(content: bytes, first_half: str) -> None:
    hashed = new("xxh64-twice")
    hashed.update(content)
    assert hashed.hexdigest()[:16] == first_half


def test_blake2() -> None:
    hashed = new("blake2b-128")
    hashed.update(b"abc")
    assert hashed.hexdigest() == hashlib.blake2b(b"abc", digest_size=16).hexdigest()


@pytest.mark.parametrize("name", ["xxh64-twice", "blake2b-128"])
@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_chunks_of_any_length_give_the_same_hash(
    name: str, content: bytes, cuts: list[int]
) -> None:
    at_once, chunks = new(name), new(name).new()
    assert (at_once.name, chunks.name) == (name, name)
    at_once.update(content)
    bounds = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    for begin, end in zip(bounds[:-1], bounds[1:], strict=True):
        chunks.update(memoryview(content)[begin:end])
    assert chunks.hexdigest() == at_once.hexdigest()
    assert len(at_once.hexdigest()) == 32
    read = new(name)
    reader = HashedReader(io.BytesIO(content), read)
    assert b"".join(iter(lambda: reader.read(7), b"")) == content
    assert read.hexdigest() == at_once.hexdigest()


@pytest.mark.parametrize("name", ["xxh64-twice", "blake2b-128"])
@given(st.binary(min_size=1, max_size=200), st.data())
def test_each_bit_changes_the_hash(name: str, content: bytes, data: st.DataObject) -> None:
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    other = bytearray(content)
    other[bit // 8] ^= 1 << bit % 8
    hashes = set()
    for each in (content, bytes(other), content + b"\0", content[:-1]):
        hashed = new(name)
        hashed.update(each)
        hashes.add(hashed.hexdigest())
    assert len(hashes) == 4
    # Both halves differ, because their seeds differ.
    assert all(len({each[k : k + 16] for each in hashes}) == 4 for k in (0, 16))


def test_a_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"0123456789" * 300_000)
    hashed = new(name)
    hashed.update(path.read_bytes())
    assert hash_file(path).hexdigest() == hashed.hexdigest()
    assert hash_file(path).name == name
    with pytest.raises(FileNotFoundError):
        hash_file(tmp_path / "b")
