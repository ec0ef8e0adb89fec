"""The compiled parser: the same numbers as Polars, and nothing where a line is not plain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given

from kkspdnn import triples, tsv
from kkspdnn.errors import ToolchainError
from kkspdnn.triples import Triples, load_parser, plain_triples
from kkspdnn.tsv import Block, Form, read_blocks

MOST = (2**31 - 1, 99)
DTYPES = [np.dtype(np.float32), np.dtype(np.float64)]


def compiled(text: bytes, lines: int, dtype: np.dtype[Any] = DTYPES[0]) -> Triples | None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(triples, "WORTH_COMPILING", 0)
        return plain_triples(text, lines, MOST, dtype)


def by_polars(path: Path, text: bytes, dtype: np.dtype[Any]) -> Block:
    path.write_bytes(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tsv, "plain_triples", lambda *_: None)
        (block,) = read_blocks(path, Form(("a", "b", "c"), MOST, dtype))
    return block


numbers = st.floats(-1e30, 1e30).filter(lambda x: x == 0 or abs(x) > 1e-30)
spelled = st.one_of(
    st.sampled_from(["0.0625", "6.250000e-02", "1", "-0", ".5", "7.", "1E3", "1e-05", "00.1"]),
    numbers.map(repr),
    numbers.map("{:e}".format),
    numbers.map("{:.40f}".format),
    numbers.map(np.float32).map(str),
)
rows = st.lists(
    st.tuples(st.integers(1, MOST[0]), st.integers(1, MOST[1]), spelled, st.integers(1, 4)),
    min_size=1,
)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@given(rows)
# just above the middle of two float32: rounded to float64 first, it would go down
@example([(1, 1, "1.00000005960464483090", 1)])
def test_the_numbers_are_those_of_polars(
    tmp_path_factory: pytest.TempPathFactory,
    dtype: np.dtype[Any],
    rows: list[tuple[int, int, str, int]],
) -> None:
    lines = [f"{a}\t{b}\t{c}\n" for a, b, c, times in rows for _ in range(times)]
    text = "".join(lines).encode()
    expected = by_polars(tmp_path_factory.mktemp("text") / "a.tsv", text, dtype)
    found = compiled(text, len(lines), dtype)
    assert found is not None
    columns = (expected.first, expected.second, expected.value)
    for column, other in zip(found, columns, strict=True):
        assert column.dtype == other.dtype
        assert column.tobytes() == other.tobytes()


NOT_PLAIN = (
    *("", "1", "1\t", "1\t2", "1\t2\t", "1\t2\t3\t", "1\t2\t3\t4", "1 2 3", "\t2\t3", "1\t\t3"),
    *("+1\t2\t3", "-1\t2\t3", "0\t2\t3", "1\t0\t3", "1\t100\t3", "2147483648\t2\t3"),
    *("1.0\t2\t3", "1\t2.5\t3", "1\t2 \t3", "1\t2\t 3", "1\t2\t3 ", "1\t2\t3\r", "\0\t2\t3"),
    *("4294967297\t2\t3", "18446744073709551617\t2\t3", "1" * 5000 + "\t2\t3"),
    *("1\t2\tnan", "1\t2\tinf", "1\t2\t-inf", "1\t2\t1e39", "1\t2\t0x1", "1\t2\t+3", "1\t2\t3x"),
    *("1\t2\t1e-50", "1\t2\t0.5e", "1\t2\t.", "1\t2\t-"),
)


@pytest.mark.parametrize("line", NOT_PLAIN, ids=ascii)
def test_a_line_that_is_not_plain_is_left_to_the_caller(line: str) -> None:
    for before in ("", "1\t2\t3\n", "1\t2\t0.5\n"):
        for after in ("", "1\t2\t3\n"):
            text = f"{before}{line}\n{after}".encode()
            assert compiled(text, text.count(b"\n")) is None


def test_lines_are_whole_and_as_many_as_said() -> None:
    assert compiled(b"1\t2\t3\n1\t2\t3\n", 2) is not None
    assert compiled(b"1\t2\t3\n1\t2\t3\n", 1) is None
    assert compiled(b"1\t2\t3\n1\t2\t3\n", 3) is None
    assert compiled(b"1\t2\t3\n1\t2\t3", 2) is None
    assert compiled(b"", 0) is None


def test_a_short_text_needs_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triples, "_loaded", lambda: pytest.fail("it was loaded"))
    assert plain_triples(b"1\t2\t3\n", 1, MOST, DTYPES[0]) is None


def test_without_a_compiler_polars_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise ToolchainError("no C++ compiler")

    text = b"1\t2\t3.5\n" * 20_000
    path = tmp_path / "a.tsv"
    path.write_bytes(text)
    monkeypatch.setattr(triples, "host_compiler", none)
    monkeypatch.setenv("KKSPDNN_CACHE", str(tmp_path / "cache"))
    triples._loaded.cache_clear()
    try:
        assert plain_triples(text, 20_000, MOST, DTYPES[0]) is None
        (block,) = read_blocks(path, Form(("a", "b", "c"), MOST))
    finally:
        triples._loaded.cache_clear()
    assert (block.value == 3.5).all()
    assert block.value.shape == (20_000,)
    with pytest.raises(ToolchainError, match="no C\\+\\+ compiler"):
        load_parser()


def test_a_library_that_cannot_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "triples.so").write_bytes(b"not a library")
    monkeypatch.setattr(triples, "find_or_build", lambda *_: tmp_path)
    with pytest.raises(ToolchainError, match=r"cannot load .*triples\.so: "):
        load_parser()
