"""The challenge's files: round trips, the official files, and errors with `file:line`."""

from __future__ import annotations

import gzip
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings

import kkspdnn.io.tsv
from kkspdnn.device.memory import Budget, resident_memory
from kkspdnn.errors import InputError
from kkspdnn.io.challenge import (
    read_categories,
    read_images,
    read_layers,
    read_network,
    write_categories,
    write_images,
    write_network,
)
from kkspdnn.io.challenge_layers import read_layer
from kkspdnn.io.challenge_names import categories_path, images_path, layer_path
from kkspdnn.io.shipped_images import images
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer
from kkspdnn.model.network import network
from kkspdnn.model.radixnet import challenge_bias, radixnet
from kkspdnn.serial_reference import categories, reference


def same(one: Layer, other: Layer) -> bool:
    pairs = (
        (getattr(one, each), getattr(other, each)) for each in ("start", "index", "value", "bias")
    )
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)


def folder_with(tmp_path: Path, text: bytes, *, compress: bool = False) -> Path:
    """A folder whose layer 1 of 32 neurons has this text."""
    path = layer_path(tmp_path, 32, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    if compress:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(text))
    else:
        path.write_bytes(text)
    return tmp_path


def random_layer(seed: int, dtype: type) -> Layer:
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((32, 32)) * 10.0 ** rng.integers(-30, 30, (32, 32))
    weights *= rng.random((32, 32)) < 0.2
    weights[3, 4] = 1  # at least one edge
    return Layer.from_sparse(weights, challenge_bias(32)).astype(dtype)


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.sampled_from([np.float32, np.float64]), st.booleans())
def test_layers_come_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, seed: int, dtype: type, compress: bool
) -> None:
    folder = tmp_path_factory.mktemp("layers")
    layers = [random_layer(seed + number, dtype) for number in range(2)]
    write_network(network(layers), folder, compress=compress)
    back = read_network(folder, 32, 2, dtype)
    assert all(same(a, b) for a, b in zip(back.layers, layers, strict=True))
    assert back.edges == sum(each.edges for each in layers)
    assert back.dtype == np.dtype(dtype)
    assert (back.ymax, back.name, back.source) == (32.0, "challenge-32x2", "challenge")


@given(st.integers(0, 2**32))
@settings(max_examples=10)
def test_lines_may_come_in_any_order(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    folder = tmp_path_factory.mktemp("order")
    write_network(radixnet(32, 1), folder, compress=False)
    path = layer_path(folder, 32, 1)
    lines = path.read_bytes().splitlines(keepends=True)
    shuffled = np.random.default_rng(seed).permutation(len(lines))
    path.write_bytes(b"".join(lines[each] for each in shuffled))
    assert same(read_layers(folder, 32, 1)[0], radixnet(32, 1).layers[0])


@pytest.mark.usefixtures("parser")
def test_line_ends_and_number_formats(tmp_path: Path) -> None:
    plain = b"1\t2\t6.250000e-02\n3\t2\t.5\n"
    expected = read_layers(folder_with(tmp_path / "a", plain), 32, 1)[0]
    assert expected.edges == 2
    assert expected.weights()[2, 1] == 0.5
    windows = plain.replace(b"\n", b"\r\n")
    no_end = plain.removesuffix(b"\n")
    marked = b"\xef\xbb\xbf" + plain
    signed = b"+1\t2\t0.0625\n3\t2\t5E-1\n"
    zeros = b"0001\t000000000000000000000002\t+00.0625\n+03\t2\t0.5e0\r\n"
    for number, text in enumerate((windows, no_end, marked, signed, zeros)):
        assert same(read_layers(folder_with(tmp_path / f"{number}", text), 32, 1)[0], expected)
    zero = folder_with(tmp_path / "zero", plain + b"7\t7\t0\n")
    assert same(read_layers(zero, 32, 1)[0], expected)


@pytest.mark.usefixtures("parser")
def test_the_official_text_files_are_read(challenge_data: Path) -> None:
    folder = challenge_data / "tsv"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    with np.load(challenge_data / "n1024-l120-fanin.npz") as archive:
        official = archive["fanin"]
    for number in (1, 2, 7):
        paths = sorted(folder.glob(f"n1024-l{number}.tsv*"))
        assert paths
        for path in paths:
            layer = read_layer(path, 1024, -0.3, np.float32)
            assert (layer.index.reshape(1024, 32) == official[number - 1]).all()
            assert (layer.value == 0.0625).all()


@pytest.mark.slow
def test_the_official_folder(challenge_folder: Path, challenge_categories: np.ndarray) -> None:
    net = read_network(challenge_folder, 1024, 120)
    assert (net.edges, net.layers[-1].fan_in) == (3_932_160, 32)
    inputs = read_images(challenge_folder, 1024, rows=60_000)
    shipped = images(1024).bits
    assert shipped is not None
    assert inputs.bits is not None
    assert np.array_equal(inputs.bits, shipped)
    expected = read_categories(challenge_folder, 1024, 120)
    assert expected is not None
    assert expected.tolist() == challenge_categories.tolist()
    final = reference(net, inputs.slice(0, 500), dtype=np.float32)
    assert categories(final).tolist() == expected[expected <= 500].tolist()
    assert read_categories(challenge_folder, 1024, 480) is None


BAD_LINES = [
    (b"1\t2\n", "2 columns; 3 are needed: input TAB output TAB weight"),
    (b"1\t2\t0.5\t4\n", "4 columns; 3 are needed"),
    (b" 1\t2\t0.5\n", "input ' 1' is not a whole number"),
    (b"1\t 2\t0.5\n", "output ' 2' is not a whole number"),
    (b"1\t2\t 0.5\n", "weight ' 0.5' is not a number"),
    (b"1\t2\t0.5 \n", "weight '0.5 ' is not a number"),
    (b'1\t2\t"0.5"\n', "weight '\"0.5\"' is not a number"),
    (b"1\t2\t+-1\n", "weight '+-1' is not a number"),
    (b"1\t2\t0.5\r\r\n", "weight '0.5\\r' is not a number"),
    (b"1\r\t2\t0.5\n", "input '1\\r' is not a whole number"),
    (b"\xef\xbb\xbf1\t2\t0.5\n", "is not a whole number"),
    (b"1\t2\t0.5\0\n", "weight '0.5\\x00' is not a number"),
    (b"\r\n", "0 columns; 3 are needed"),
    (b"1 2 0.5\n", "1 columns; 3 are needed"),
    (b"\n", "0 columns; 3 are needed"),
    (b"one\t2\t0.5\n", "input 'one' is not a whole number"),
    (b"1\t2.0\t0.5\n", "output '2.0' is not a whole number"),
    (b"1\t\t0.5\n", "output '' is not a whole number"),
    (b"1\t2\thalf\n", "weight 'half' is not a number"),
    (b"1\t2\t\n", "weight '' is not a number"),
    (b"1\t2\t0x1\n", "weight '0x1' is not a number"),
    (b"\xff\t2\t1\n", "is not a whole number"),
    (b"0\t2\t0.5\n", "input '0' is outside 1..32"),
    (b"-1\t2\t0.5\n", "input '-1' is outside 1..32"),
    (b"33\t2\t0.5\n", "input '33' is outside 1..32"),
    (b"1\t33\t0.5\n", "output '33' is outside 1..32"),
    (b"1\t99999999999\t0.5\n", "output '99999999999' is outside 1..32"),
    (b"1\t" + b"9" * 5000 + b"\t0.5\n", "is outside 1..32"),
    (b"1\t2\tnan\n", "weight 'nan' is not finite"),
    (b"1\t2\t-inf\n", "weight '-inf' is not finite"),
    (b"1\t2\tNaN\n", "weight 'NaN' is not finite"),
    (b"1\t2\t+infinity\n", "weight '+infinity' is not finite"),
    (b"1\t2\t1e400\n", "weight '1e400' is too large for float32"),
    (b"1\t2\t1e300\n", "weight '1e300' is too large for float32"),
    (b"5\t5\t0.25\n", "the edge from input 5 to output 5 is already in line 1"),
]


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("block", [1 << 25, 16], ids=["one block", "many blocks"])
@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize(("line", "message"), BAD_LINES, ids=[each[1] for each in BAD_LINES])
def test_an_invalid_line_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    line: bytes,
    message: str,
    compress: bool,
    block: int,
) -> None:
    if block == 16:
        block = max(16, len(line))
    monkeypatch.setattr(kkspdnn.io.tsv, "BLOCK_BYTES", block)
    before = b"5\t5\t0.5\n1\t1\t0.5\n2\t1\t0.5\n"
    folder = folder_with(tmp_path, before + line + b"9\t9\t1\n", compress=compress)
    with pytest.raises(InputError) as caught:
        read_layers(folder, 32, 1)
    text = str(caught.value)
    assert "n32-l1.tsv" + (".gz" if compress else "") + ":4: " in text
    assert message in text
    assert "\n" not in text
    assert len(text) < 400


def test_1e300_is_fine_in_float64(tmp_path: Path) -> None:
    assert read_layers(folder_with(tmp_path, b"1\t2\t1e300\n"), 32, 1, np.float64)[0].value == [
        1e300
    ]


@pytest.mark.parametrize("compress", [False, True])
def test_an_empty_file_is_refused(tmp_path: Path, compress: bool) -> None:
    folder = folder_with(tmp_path, b"", compress=compress)
    with pytest.raises(InputError, match=r"n32-l1\.tsv.*: the file is empty; lines of input TAB"):
        read_layers(folder, 32, 1)


def test_a_file_without_line_ends_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kkspdnn.io.tsv, "MAX_LINE_BYTES", 64)
    long = b"1\t1\t" + b"0" * 61
    for block in (1, 16, 64):
        monkeypatch.setattr(kkspdnn.io.tsv, "BLOCK_BYTES", block)
        assert len(read_layers(folder_with(tmp_path, long[:64] + b"\n1\t2\t1\n"), 32, 1)) == 1
        for end in (b"", b"\n", b"\n1\t2\t1\n"):
            folder = folder_with(tmp_path, b"1\t1\t1\n" + long + end)
            with pytest.raises(InputError, match=r"l1\.tsv:2: more than 64 bytes without a line"):
                read_layers(folder, 32, 1)


def test_broken_gzip_files_are_refused_with_the_line(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    write_network(network([random_layer(int(rng.integers(99)), np.float64)]), tmp_path)
    path = layer_path(tmp_path, 32, 1).with_suffix(".tsv.gz")
    content = path.read_bytes()
    lines = gzip.decompress(content).count(b"\n")

    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"\.gz:\d+: the gzip data is truncated here") as caught:
        read_layers(tmp_path, 32, 1)
    line = int(re.findall(r"\.gz:(\d+):", str(caught.value))[0])
    assert lines // 4 < line < lines

    path.write_bytes(content[:-6])  # without the checksum at the end
    with pytest.raises(InputError, match="the gzip data is truncated here"):
        read_layers(tmp_path, 32, 1)

    path.write_bytes(content[:-8] + bytes(8))
    with pytest.raises(InputError, match="the gzip data is corrupt: CRC check failed"):
        read_layers(tmp_path, 32, 1)

    path.write_bytes(content[:100] + bytes(100) + content[200:])
    with pytest.raises(InputError, match="the gzip data is corrupt"):
        read_layers(tmp_path, 32, 1)

    path.write_bytes(content + b"more")
    with pytest.raises(InputError, match="the gzip data is corrupt"):
        read_layers(tmp_path, 32, 1)


def test_the_first_missing_layer_is_named(tmp_path: Path) -> None:
    write_network(radixnet(32, 4), tmp_path)
    layer_path(tmp_path, 32, 3).with_suffix(".tsv.gz").unlink()
    with pytest.raises(InputError) as caught:
        read_layers(tmp_path, 32, 4)
    path = layer_path(tmp_path, 32, 3)
    assert str(caught.value) == f"{path}: no such file, nor n32-l3.tsv.gz; 4 layers are needed"
    assert len(read_layers(tmp_path, 32, 2)) == 2


def test_invalid_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1000 neurons: a RadiX-Net has"):
        read_network(tmp_path, 1000, 1)
    with pytest.raises(InputError, match="-1 layers: the number must not be negative"):
        read_network(tmp_path, 32, -1)
    assert read_network(tmp_path, 32, 0).outputs == 32


def test_a_rewritten_folder_has_the_new_network(tmp_path: Path) -> None:
    write_network(radixnet(32, 1, seed=0), tmp_path, compress=False)
    assert read_layers(tmp_path, 32, 1)[0].edges == 1024
    write_network(network([random_layer(3, np.float32)]), tmp_path, compress=True)
    assert same(read_layers(tmp_path, 32, 1)[0], random_layer(3, np.float32))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: radixnet(32, 1, bias=0.5),
            "layer 1: the challenge's files imply a bias of -0.175",
        ),
        (
            lambda: network(radixnet(32, 1).layers, ymax=None),
            "ymax None: the challenge's files imply",
        ),
        (
            lambda: network([Layer.from_sparse(np.ones((32, 16)), -0.175)]),
            "layer 1 has 32 x 16 neurons; the challenge's files need 32 x 32",
        ),
        (lambda: network([Layer.from_sparse(np.zeros((32, 32)), -0.175)]), "layer 1 has no edges"),
        (lambda: network([], inputs=33), "33 neurons: a RadiX-Net has"),
    ],
)
def test_networks_that_the_format_cannot_represent(
    tmp_path: Path, make: Callable[[], object], message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        write_network(make(), tmp_path)  # type: ignore[arg-type]


@settings(max_examples=40)
@given(
    st.integers(0, 2**32),
    st.integers(1, 12),
    st.integers(1, 30),
    st.booleans(),
    st.integers(16, 300),
)
def test_images_come_back_in_any_order(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    rows: int,
    neurons: int,
    compress: bool,
    block: int,
) -> None:
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(seed)
    pixels = rng.random((rows, neurons)) < 0.3
    pixels[rng.integers(rows), rng.integers(neurons)] = True
    bits = np.packbits(pixels, axis=1)
    write_images(Inputs(rows, neurons, "test", bits=bits), folder, compress=compress)
    path = next(folder.iterdir())
    opened = gzip.open if compress else open
    with opened(path, "rb") as file:
        lines = file.read().splitlines(keepends=True)
    if seed % 2:
        lines = [lines[each] for each in rng.permutation(len(lines))]
    with opened(path, "wb") as file:
        file.write(b"".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kkspdnn.io.tsv, "BLOCK_BYTES", block)
        last = int(np.flatnonzero(pixels.any(axis=1))[-1]) + 1
        plain = read_images(folder, neurons)
        assert plain.bits is not None
        assert (plain.bits == bits[:last]).all()
        for count in (0, 1, rows // 2, rows + 3):
            selected = read_images(folder, neurons, count)
            assert selected.rows == count
            expected = np.zeros((count, neurons), bool)
            expected[: min(count, rows)] = pixels[:count]
            assert (selected.to_dense(np.float32) == expected).all()


@pytest.mark.usefixtures("parser")
def test_values_other_than_1_become_csr(tmp_path: Path) -> None:
    dense = np.array([[0, 0.1, 0], [0, 0, 0], [1e-300, -2, 1], [0, 0, 0]])
    write_images(Inputs.from_any(dense), tmp_path)
    back = read_images(tmp_path, 3, 4)
    assert back.csr is not None
    assert back.csr.has_canonical_format
    assert (back.to_dense(np.float64) == dense).all()
    assert read_images(tmp_path, 3).rows == 3
    assert (read_images(tmp_path, 3, 1).to_dense(np.float64) == dense[:1]).all()
    assert read_images(tmp_path, 3, 0).rows == 0


@pytest.mark.usefixtures("parser")
def test_a_value_close_to_1_is_not_1(tmp_path: Path) -> None:
    images_path(tmp_path, 8).write_text("1\t1\t1.00000000001\n1\t2\t0\n")
    assert read_images(tmp_path, 8).to_dense(np.float64)[0, 0] == 1.00000000001
    assert read_images(tmp_path, 8).nonzeros == 1


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("block", [1 << 25, 16], ids=["one block", "many blocks"])
@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (
            "1\t1\t1\n2\t1\t1\n1\t1\t1\n",
            3,
            "neuron 1 of image 1 occurs twice; remove one of the lines",
        ),
        (
            "2\t8\t1\n1\t8\t1\n2\t8\t1\n1\t8\t1\n",
            3,
            "neuron 8 of image 2 occurs twice; remove one of the lines",
        ),
        (
            "1\t1\t0.5\n2\t1\t1\n1\t1\t1\n",
            3,
            "neuron 1 of image 1 occurs twice; remove one of the lines",
        ),
        ("1\t1\t1\n1\t9\t1\n", 2, "neuron '9' is outside 1..8"),
        ("1\t1\t1\n0\t1\t1\n", 2, "image '0' is outside 1..10000000"),
        ("1\t1\t1\n2000000000\t1\t1\n", 2, "image '2000000000' is outside 1..10000000"),
        ("1\t1\t1\n1\t2\tone\n", 2, "value 'one' is not a number"),
        ("1\t1\t1\n1\t2\n", 2, "2 columns; 3 are needed: image TAB neuron TAB value"),
        ("1\t1\t2\n1\t2\tnan\n", 2, "value 'nan' is not finite"),
    ],
)
def test_bad_images_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    line: int,
    message: str,
    block: int,
) -> None:
    monkeypatch.setattr(kkspdnn.io.tsv, "BLOCK_BYTES", block)
    path = images_path(tmp_path, 8)
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_images(tmp_path, 8)
    assert str(caught.value) == f"{path}:{line}: {message}"


@pytest.mark.slow
def test_a_large_image_number_takes_no_memory(tmp_path: Path) -> None:
    """Two lines, one of which stands for 10,000,000 rows, 1.28 GB of bits."""
    path = images_path(tmp_path, 1024)
    path.write_text("1\t5\t1\n10000000\t6\t1\n")
    before = resident_memory()
    inputs = read_images(tmp_path, 1024)
    assert resident_memory() - before < 200_000_000
    assert (inputs.rows, inputs.nonzeros) == (10_000_000, 2)
    with pytest.raises(InputError) as caught:
        read_images(tmp_path, 1024, budget=Budget(total=before + 1_000_000_000))
    assert str(caught.value).startswith(
        f"{path}:2: image 10000000: 10000000 rows of 1024 neurons need 1.28 GB of memory"
    )
    with pytest.raises(InputError, match="2147483647 input rows of 1024 neurons need 274.88 GB"):
        read_images(tmp_path, 1024, 2**31 - 1, budget=Budget(total=before + 1_000_000_000))
    assert read_images(tmp_path, 1024, 1).nonzeros == 1
    images_path(tmp_path, 1).write_text("10000000\t1\t0.5\n")
    assert read_images(tmp_path, 1).rows == 10_000_000
    with pytest.raises(InputError, match="10000000 input rows of 1 neurons need 0.16 GB"):
        read_images(tmp_path, 1, budget=Budget(total=resident_memory() + 100_000_000))


def test_missing_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"sparse-images-8\.tsv: no such file, nor sparse-"):
        read_images(tmp_path, 8)
    images_path(tmp_path, 8).write_text("")
    with pytest.raises(InputError, match="the file is empty; lines of image TAB"):
        read_images(tmp_path, 8)
    with pytest.raises(InputError, match="-1 input rows: the number must not be negative"):
        read_images(tmp_path, 8, -1)
    with pytest.raises(InputError, match="0 neurons: at least 1"):
        read_images(tmp_path, 0)
    with pytest.raises(InputError, match="all input rows are zero"):
        write_images(Inputs.from_any(sp.csr_array((3, 8))), tmp_path)


def test_categories_after_a_byte_order_mark(tmp_path: Path) -> None:
    """Byte order marks are accepted, as in layer files."""
    categories_path(tmp_path, 32, 4).write_bytes(b"\xef\xbb\xbf3\r\n7\r\n")
    categories = read_categories(tmp_path, 32, 4)
    assert categories is not None
    assert categories.tolist() == [3, 7]


def test_categories_come_back(tmp_path: Path) -> None:
    for rows in ([], [1], [3, 60000]):
        write_categories(np.array(rows, dtype=np.int64), tmp_path, 32, 4)
        back = read_categories(tmp_path, 32, 4)
        assert back is not None
        assert back.tolist() == rows
        assert back.dtype == np.int64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\n3\n2\n", ":3: row 2 after row 3; rows must ascend"),
        ("1\n1\n", ":2: row 1 after row 1; rows must ascend"),
        ("0\n", ":1: '0' is not a row number, from 1"),
        ("1\n-2\n", ":2: '-2' is not a row number"),
        ("1\nx\n", ":2: 'x' is not a row number"),
        ("1\n\n2\n", ":2: '' is not a row number"),
        ("1\n2.0\n", ":2: '2.0' is not a row number"),
        ("1" * 400, " is not a row number"),
        ("\u0663\n", " is not a row number"),
    ],
)
def test_bad_categories_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "neuron32-l4-categories.tsv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        read_categories(tmp_path, 32, 4)
    assert str(caught.value).startswith(f"{path}:")


def test_files_without_line_ends_take_no_memory(tmp_path: Path) -> None:
    """Kilobytes of gzip data may expand to gigabytes of text."""
    bomb = gzip.compress(b"1\n" + bytes(100_000_000), 1)
    path = tmp_path / "neuron32-l4-categories.tsv.gz"
    path.write_bytes(bomb)
    layer = layer_path(tmp_path, 32, 1).with_suffix(".tsv.gz")
    layer.parent.mkdir()
    layer.write_bytes(gzip.compress(b"1\t1\t1\n" + bytes(100_000_000), 1))
    truncated = layer_path(tmp_path, 64, 1).with_suffix(".tsv.gz")
    truncated.parent.mkdir()
    truncated.write_bytes(gzip.compress(b"1\t1\t1\n" + bytes(3_000_000), 1)[:-9])
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"tsv\.gz:2: '.*' is not a row number, from 1"):
            read_categories(tmp_path, 32, 4)
        with pytest.raises(InputError, match=r"l1\.tsv\.gz:2: more than 4194304 bytes without a"):
            read_layers(tmp_path, 32, 1)
        with pytest.raises(InputError, match=r"l1\.tsv\.gz:2: the gzip data is truncated here"):
            read_layers(tmp_path, 64, 1)
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


def test_categories_with_any_line_end(tmp_path: Path) -> None:
    for text in (b"3\n7\n", b"3\r\n7", b"3\r7\r", b" 3 \n\t7\n"):
        categories_path(tmp_path, 32, 4).write_bytes(text)
        categories = read_categories(tmp_path, 32, 4)
        assert categories is not None
        assert categories.tolist() == [3, 7]


def test_gzipped_categories(tmp_path: Path) -> None:
    path = tmp_path / "neuron32-l4-categories.tsv.gz"
    path.write_bytes(gzip.compress(b"2\n5\n"))
    assert read_categories(tmp_path, 32, 4) is not None
    path.write_bytes(gzip.compress(b"2\n5\n")[:-3])
    with pytest.raises(InputError, match=r"\.gz:3: the gzip data is truncated here"):
        read_categories(tmp_path, 32, 4)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "neuron32").write_text("a file where the folder should be")
    with pytest.raises(InputError, match="cannot be written"):
        write_network(radixnet(32, 1), tmp_path)
