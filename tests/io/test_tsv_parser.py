"""The compiled parser, the NumPy parser and a reference agree, and so do the writers."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given, settings

from kkspdnn.errors import InputError, ToolchainError
from kkspdnn.io import tsv, tsv_parser
from kkspdnn.io.tsv import read_blocks, write_triples
from kkspdnn.io.tsv_lines import TripleFormat, format_lines, line_error, parse_lines
from kkspdnn.io.tsv_parser import Triples, format_triples, load_parser, parse_triples

LARGEST = (2**31 - 1, 99)
DTYPES = [np.dtype(np.float32), np.dtype(np.float64)]


def compiled(text: bytes, dtype: np.dtype[Any]) -> tuple[Triples, int]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tsv_parser, "MIN_COMPILED_BYTES", 0)
        return parse_triples(text, text.count(b"\n"), LARGEST, dtype)


def rounded(text: str, dtype: np.dtype[Any]) -> float | None:
    """The nearest number of the dtype, ties to even, in exact arithmetic; None on overflow."""
    mantissa, _, exponent = text.lower().partition("e")
    # Limit the exponent, because exact powers of larger ones take too long.
    exact = Fraction(mantissa) * Fraction(10) ** max(-2000, min(int(exponent or 0), 2000))
    bits, lowest = (24, -149) if dtype == np.float32 else (53, -1074)
    size = abs(exact)
    step = lowest
    if size:
        # 2^power <= size < 2^(power + 1)
        power = size.numerator.bit_length() - size.denominator.bit_length()
        power -= size < Fraction(2) ** power
        step = max(lowest, power - bits + 1)
    size = round(size / Fraction(2) ** step) * Fraction(2) ** step
    if size > Fraction(float(np.finfo(dtype).max)):
        return None
    return -float(size) if text.startswith("-") else float(size)


def by_reference(text: bytes, dtype: np.dtype[Any]) -> tuple[list[tuple[int, int, float]], int]:
    """A reference parser, line by line, without the code under test."""
    rows: list[tuple[int, int, float]] = []
    number = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
    for line in text.decode("latin-1").split("\n")[:-1]:
        fields = line.removesuffix("\r").split("\t")
        if len(fields) != 3:
            break
        if not all(re.fullmatch(r"[+-]?\d+", each, re.A) for each in fields[:2]):
            break
        first, second = (int(each) for each in fields[:2])
        if not (1 <= first <= LARGEST[0] and 1 <= second <= LARGEST[1]):
            break
        if not re.fullmatch(number, fields[2], re.A):
            break
        value = rounded(fields[2], dtype)
        if value is None:
            break
        rows.append((first, second, value))
    return rows, len(rows)


def same(triples: Triples, expected: list[tuple[int, int, float]], dtype: np.dtype[Any]) -> bool:
    dtypes = (np.dtype(np.int32), np.dtype(np.int32), dtype)
    columns = [np.array([row[k] for row in expected], each) for k, each in enumerate(dtypes)]
    return all(
        one.dtype == other.dtype and one.tobytes() == other.tobytes()
        for one, other in zip(triples, columns, strict=True)
    )


def check(text: bytes, dtype: np.dtype[Any]) -> int:
    expected, valid = by_reference(text, dtype)
    for triples, lines in (compiled(text, dtype), parse_lines(text, LARGEST, dtype)):
        assert lines == valid
        assert same(triples, expected, dtype)
    columns = TripleFormat(("a", "b", "c"), LARGEST, dtype)
    errors = [line_error(line, columns) for line in text.split(b"\n")[:-1]]
    assert [error is None for error in errors[: valid + 1]] == [True] * valid + [False] * (
        valid < len(errors)
    )
    return valid


digits = st.text("0123456789", min_size=1, max_size=25)
signs = st.sampled_from(["", "", "", "+", "-"])
mantissas = st.one_of(
    digits,
    st.builds("{}.{}".format, digits, digits),
    digits.map("{}.".format),
    digits.map(".{}".format),
)
exponents = st.one_of(
    st.just(""),
    st.builds("{}{}{:d}".format, st.sampled_from("eE"), signs, st.integers(0, 400)),
    st.builds("e{}0{:d}".format, signs, st.integers(0, 50)),
)


def halfway(pair: tuple[int, int]) -> str:
    """The exact middle of two adjacent float32, or a number next to it, in decimal."""
    bits, nudge = pair
    below = float(np.uint32(bits).view(np.float32))
    above = float(np.uint32(bits + 1).view(np.float32))
    middle = (Fraction(below) + Fraction(above)) / 2 if np.isfinite(above) else None
    if middle is None:
        middle = Fraction(2**128 - 2**103)
    middle += Fraction(nudge) * middle / 10**40
    scale = 10**250
    whole = int(middle * scale)
    return f"{whole // scale}.{whole % scale:0250d}"


reals = st.one_of(
    st.sampled_from(["0.0625", "6.250000e-02", "1", "-0", "-0.0", ".5", "7.", "1E3", "00.1"]),
    st.builds("{}{}{}".format, signs, mantissas, exponents),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(lambda x: str(np.float32(x))),
    st.tuples(st.integers(0, 0x7F7FFFFF), st.integers(-1, 1)).map(halfway),
    st.tuples(st.sampled_from([0, 1, 0x7F7FFFFF, 0x7FFFFF]), st.integers(-1, 1)).map(halfway),
)
integers = st.one_of(
    st.integers(-1, 120).map(str),
    st.integers(0, 2**33).map(str),
    st.builds("{}{}".format, signs, digits),
)
line_ends = st.sampled_from(["\n", "\n", "\n", "\r\n"])
lines = st.builds("{}\t{}\t{}{}".format, integers, integers, reals, line_ends)
odd_lines = st.one_of(
    lines, st.text("019.eE+-\t\r nainfx\0ä", max_size=12).map("{}\n".format), st.just("1\t2\t3\n")
)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@given(st.lists(odd_lines, max_size=6))
@example(["1\t1\t1.00000005960464483090\n"])  # above the middle of two float32: round up
@example(["1\t1\t1.00000005960464477539\n"])  # below the middle: round down
@example(
    ["1\t1\t1.000000059604644775390625\n", "1\t1\t1.000000178813934326171875\n"]
)  # the middle: ties to even
@example(["1\t1\t3.4028235677973366e38\n"])  # FLT_MAX and half a step: infinity
@example(["1\t1\t3.40282356779733661637539395458142568447e38\n"])
@example(["1\t1\t3.40282356779733661637539395458142568448e38\n"])
@example(["1\t1\t1e-45\n", "1\t1\t-1e-46\n", "1\t1\t7.006492321624085e-46\n"])
@example(["1\t1\t7.0064923216240853546186479164495806564013097093825788587853e-46\n"])
@example(["1\t1\t4.9406564584124654e-324\n", "1\t1\t2e-324\n", "1\t1\t-1e-400\n"])
@example(["1\t1\t2.2250738585072011e-308\n", "1\t1\t1.7976931348623158e308\n"])
@example(["1\t1\t0e99999999999999999999\n", "1\t1\t1e-99999999999999999999\n"])
@example(["1\t1\t1e99999999999999999999\n"])
@example(["2147483647\t99\t1\n", "2147483648\t99\t1\n"])
@example(["1\t100\t1\n"])
@example(["1\t18446744073709551617\t1\n"])
@example(["+000000000000000000001\t000000000000099\t+.5e+0\r\n"])
@example(["-0\t1\t1\n"])
@example(["1\t+\t1\n"])
@example(["1\t2\tnan(1)\n"])
@example(["1\t2\t0x1p3\n"])
@example(["1\t2\t3\t\n"])
@example(["1\t2\t3\n", "\n"])
def test_random_lines(dtype: np.dtype[Any], each: list[str]) -> None:
    check("".join(each).encode("latin-1"), dtype)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@given(st.lists(lines, min_size=1, max_size=5), st.data())
def test_mutated_texts(dtype: np.dtype[Any], each: list[str], data: st.DataObject) -> None:
    text = bytearray("".join(each).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        index = data.draw(st.integers(0, len(text) - 1))
        mutation = data.draw(st.sampled_from("flip drop insert swap".split()))
        if mutation == "flip":
            text[index] ^= 1 << data.draw(st.integers(0, 7))
        elif mutation == "drop" and len(text) > 1:
            del text[index]
        elif mutation == "insert":
            text.insert(index, data.draw(st.sampled_from(b"0123456789.eE+-\t\r\n nifN\0\xff")))
        else:
            text[index], text[index - 1] = text[index - 1], text[index]
    check(bytes(text) + (b"" if text.endswith(b"\n") else b"\n"), dtype)


@pytest.mark.slow
@pytest.mark.parametrize("end", ["\n", "\r\n", "", "\r"], ids=repr)
@settings(max_examples=30)
@given(st.lists(odd_lines, min_size=1, max_size=5), st.sampled_from([b"", b"\xef\xbb\xbf"]))
def test_the_result_does_not_depend_on_the_block_size(
    tmp_path_factory: pytest.TempPathFactory, end: str, each: list[str], mark: bytes
) -> None:
    text = "".join(each).removesuffix("\n").encode("latin-1") + end.encode()
    path = tmp_path_factory.mktemp("text") / "a.tsv"
    path.write_bytes(mark + text)
    columns = TripleFormat(("a", "b", "c"), LARGEST, np.float32)
    results = []
    for block in (1, 2, 3, 7, 16, 1 << 20):
        for min_compiled in (0, 1 << 30):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(tsv, "BLOCK_BYTES", block)
                patch.setattr(tsv_parser, "MIN_COMPILED_BYTES", min_compiled)
                results.append(read(path, columns))
    assert results == [results[0]] * len(results)
    complete = text if text.endswith(b"\n") or not text else text + b"\n"
    expected, valid = by_reference(complete, DTYPES[0])
    total = complete.count(b"\n")
    if valid < total:
        assert str(results[0]).startswith(f"{path}:{valid + 1}: ")
    elif total:
        assert results[0] == [(a, b, np.float32(c).tobytes()) for a, b, c in expected]
    else:
        assert "the file is empty" in str(results[0])


def read(path: Path, columns: TripleFormat) -> str | list[tuple[int, int, bytes]]:
    rows: list[tuple[int, int, bytes]] = []
    try:
        for block in read_blocks(path, columns):
            assert block.line == len(rows) + 1
            values = (block.first.tolist(), block.second.tolist(), block.value)
            rows += [(a, b, c.tobytes()) for a, b, c in zip(*values, strict=True)]
    except InputError as error:
        return str(error)
    return rows


def test_long_fields_take_linear_time() -> None:
    """If a digit could belong to two repetitions of the pattern, this would take hours."""
    many = b"1" * 1_000_000
    for line in (many + b"x\t2\t3\n", b"1\t2\t" + many + b"x\n", b"1\t2\t1." + many + b"x\n"):
        for parse in (lambda text: compiled(text, DTYPES[0]), by_numpy):
            assert parse(line)[1] == 0
        assert line_error(line[:-1], TripleFormat(("a", "b", "c"), LARGEST)) is not None
    for line in (b"1\t2\t" + many + b"e-1000000\n", b"1\t2\t." + b"0" * 1_000_000 + b"1e1000000\n"):
        for parse in (lambda text: compiled(text, DTYPES[0]), by_numpy):
            (_, _, value), valid = parse(line)
            assert valid == 1
            assert value[0] == np.float32("0.1" if b"." in line else 1 / 9)
    zeros = b"0" * 1_000_000 + b"7\t2\t1\n"
    assert compiled(zeros, DTYPES[0])[0][0].tolist() == [7]
    assert by_numpy(zeros)[0][0].tolist() == [7]


def by_numpy(text: bytes) -> tuple[Triples, int]:
    return parse_lines(text, LARGEST, DTYPES[0])


indices = st.integers(1, 2**62)
written = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1e-4, 9.9999e-5, 1e16, 1e15, 123456789.0, 5e-324, 1e-45]),
)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@given(st.lists(st.tuples(indices, indices, written), min_size=1))
def test_both_writers_write_the_same(
    dtype: np.dtype[Any], rows: list[tuple[int, int, float]]
) -> None:
    first, second = (np.array([row[k] for row in rows], np.int64) for k in range(2))
    with np.errstate(over="ignore", under="ignore"):
        value = np.array([row[2] for row in rows]).astype(dtype)
    value[~np.isfinite(value)] = 1
    for values in (None, value):
        expected = format_lines(first, second, values)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tsv_parser, "MIN_COMPILED_BYTES", 0)
            assert format_triples(first, second, values) == expected
    texts = [line.split(b"\t")[2] for line in format_lines(first, second, value).splitlines()]
    back = np.array([rounded(text.decode(), dtype) for text in texts], dtype)
    assert back.tobytes() == value.tobytes()
    if dtype == np.float64:
        assert texts == [repr(float(each)).encode() for each in value]


@pytest.mark.slow
@pytest.mark.usefixtures("parser")
def test_a_large_file_is_written_and_read(tmp_path: Path) -> None:
    count = 200_000  # more than one block to read and to write
    rng = np.random.default_rng(0)
    first, second = np.arange(1, count + 1), rng.integers(1, 99, count)
    value = rng.standard_normal(count).astype(np.float32)
    for path in (tmp_path / "a.tsv", tmp_path / "a.tsv.gz"):
        write_triples(path, first, second, value)
        blocks = list(read_blocks(path, TripleFormat(("a", "b", "c"), LARGEST)))
        assert (np.concatenate([block.first for block in blocks]) == first).all()
        assert (np.concatenate([block.second for block in blocks]) == second).all()
        assert (np.concatenate([block.value for block in blocks]) == value).all()


def test_a_short_text_needs_no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tsv_parser, "_loaded", lambda: pytest.fail("it was loaded"))
    (_, _, value), valid = parse_triples(b"1\t2\t3\n", 1, LARGEST, DTYPES[0])
    assert (value.tolist(), valid) == ([3], 1)
    write_triples(tmp_path / "a.tsv", np.array([1]), np.array([2]), None)
    assert (tmp_path / "a.tsv").read_bytes() == b"1\t2\t1\n"


def test_without_a_compiler_numpy_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none() -> None:
        raise ToolchainError("no C++ compiler")

    text = b"1\t2\t3.5\n" * 20_000
    path = tmp_path / "a.tsv"
    path.write_bytes(text)
    monkeypatch.setattr(tsv_parser, "host_compiler", none)
    monkeypatch.setenv("KKSPDNN_CACHE", str(tmp_path / "cache"))
    tsv_parser._loaded.cache_clear()
    try:
        (block,) = read_blocks(path, TripleFormat(("a", "b", "c"), LARGEST))
        list(read_blocks(path, TripleFormat(("a", "b", "c"), LARGEST)))
    finally:
        tsv_parser._loaded.cache_clear()
    assert (block.value == 3.5).all()
    assert block.value.shape == (20_000,)
    # One warning for both files.
    assert caplog.messages == [
        "text files are read by NumPy, much slower than by the compiled parser: no C++ compiler"
    ]
    with pytest.raises(ToolchainError, match="no C\\+\\+ compiler"):
        load_parser()


def test_a_library_that_cannot_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "triples.so").write_bytes(b"not a library")
    monkeypatch.setattr(tsv_parser, "find_or_build", lambda *_: tmp_path)
    with pytest.raises(ToolchainError, match=r"cannot load .*triples\.so: "):
        load_parser()
