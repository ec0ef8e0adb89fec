"""Checkpoints: a resumed run has the same result, and shards of another run are refused."""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kkspdnn as kk
from kkspdnn.engines import PartialResult
from kkspdnn.io.checksum import write_with_checksum
from kkspdnn.parallel import checkpoint

OPTIONS: dict[str, Any] = {"values": True, "verify": "full"}


@pytest.fixture(scope="module")
def net() -> kk.Network:
    return kk.radixnet(64, 6)


@pytest.fixture(scope="module")
def rows() -> kk.Inputs:
    return kk.images(64, 1000)


@pytest.fixture
def finished(
    tmp_path: Path, net: kk.Network, rows: kk.Inputs, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The checkpoint, of four shards, of a finished run."""
    monkeypatch.setattr(checkpoint, "_SHARD_ROWS", 250)
    folder = tmp_path / "new" / "folder"
    done = kk.infer(net, rows, checkpoint=folder, **OPTIONS)
    assert done.record.saved_rows == 0
    check_same(done, kk.infer(net, rows, **OPTIONS))
    names = [f"part-{number}-of-4.npz" for number in (1, 2, 3, 4)]
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint.json", *names]
    return folder


def check_same(one: kk.Result, other: kk.Result) -> None:
    assert np.array_equal(one.categories, other.categories)
    assert one.values is not None
    assert other.values is not None
    for name in ("indptr", "indices", "data"):
        assert np.array_equal(getattr(one.values, name), getattr(other.values, name))
    assert one.record.verified.passed is True


@pytest.mark.slow
def test_any_shards_may_be_missing(finished: Path, net: kk.Network, rows: kk.Inputs) -> None:
    expected = kk.infer(net, rows, **OPTIONS)
    for missing in ((), (2,), (1, 4), (1, 2, 3, 4)):
        for number in missing:
            (finished / f"part-{number}-of-4.npz").unlink()
        again = kk.infer(net, rows, checkpoint=finished, **OPTIONS)
        check_same(again, expected)
        record = again.record
        assert record.saved_rows == 1000 - 250 * len(missing)
        fresh = (1000 - record.saved_rows) * net.edges / record.inference_seconds
        assert record.edges_per_second == pytest.approx(fresh)
        assert (record.edges_multiplied == 0) == (not missing)
        assert (record.verified.speedup is None) == (record.saved_rows > 0)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"dtype": "float64"}, "network"),
        ({"kernel": "spgemm"}, "kernel"),
        ({"fold": True}, "fold"),
        ({"values": False, "verify": "sample"}, "verification"),
    ],
)
def test_other_options_are_refused(
    finished: Path, net: kk.Network, rows: kk.Inputs, options: dict[str, Any], word: str
) -> None:
    with pytest.raises(kk.InputError, match=f"belongs to a run with another .*{word}"):
        kk.infer(net, rows, checkpoint=finished, **{**OPTIONS, **options})


def test_other_problems_are_refused(finished: Path, net: kk.Network, rows: kk.Inputs) -> None:
    layers = list(net.layers)
    for other in (
        kk.radixnet(64, 6, seed=1),
        kk.radixnet(64, 5),
        kk.network(layers, ymax=31.0),
        kk.network([*layers[:-1], replace(layers[-1], bias_to="all")]),
        kk.network([*layers[:-1], replace(layers[-1], activation="linear")]),
        kk.network([*layers[:-1], kk.Layer.from_sparse(layers[-1].weights(), -0.1)]),
    ):
        with pytest.raises(kk.InputError, match="belongs to a run with another network;"):
            kk.infer(other, rows, checkpoint=finished, **OPTIONS)
    with pytest.raises(kk.InputError, match="another input rows;"):
        kk.infer(net, rows.slice(0, 999), checkpoint=finished, **OPTIONS)
    assert rows.bits is not None
    swapped = kk.Inputs(1000, 64, "here", bits=rows.bits[::-1].copy())
    with pytest.raises(kk.InputError, match="another input rows;"):
        kk.infer(net, swapped, checkpoint=finished, **OPTIONS)


def test_options_that_change_no_value_may_change(
    finished: Path, net: kk.Network, rows: kk.Inputs
) -> None:
    (finished / "part-3-of-4.npz").unlink()
    again = kk.infer(net, rows, checkpoint=finished, space="serial", exits="none", **OPTIONS)
    check_same(again, kk.infer(net, rows, **OPTIONS))


def test_a_shard_of_another_run_or_index_is_refused(
    finished: Path, net: kk.Network, rows: kk.Inputs, tmp_path: Path
) -> None:
    kk.infer(kk.radixnet(64, 5), rows, checkpoint=tmp_path / "other", **OPTIONS)
    shutil.copy(tmp_path / "other" / "part-2-of-4.npz", finished)
    with pytest.raises(
        kk.InputError, match=r"part-2-of-4.npz: belongs to another run or shard; delete"
    ):
        kk.infer(net, rows, checkpoint=finished, **OPTIONS)
    shutil.copy(finished / "part-1-of-4.npz", finished / "part-2-of-4.npz")
    with pytest.raises(kk.InputError, match=r"part-2-of-4.npz: belongs to another run or shard"):
        kk.infer(net, rows, checkpoint=finished, **OPTIONS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "not JSON"),
        (b"{}", "format: None is not"),
        (
            b'{"format": "kkspdnn-checkpoint-1", "parts": 4, "facts": {}}',
            "'kkspdnn-checkpoint-1' is not 'kkspdnn-checkpoint-2', the format of this version",
        ),
        (b'{"format": "kkspdnn-checkpoint-2", "parts": 4}', "facts: this field is missing"),
        (
            b'{"format": "kkspdnn-checkpoint-2", "parts": 4, "facts": {}, "sha256": "0"}',
            "checkpoint.json: is damaged; delete the folder",
        ),
        (
            json.dumps(vars(checkpoint.Manifest.create(0, {}))).encode(),
            "0 is not a valid number of shards",
        ),
        (
            json.dumps(vars(checkpoint.Manifest.create(10**9, {}))).encode(),
            "is not a valid number of shards",
        ),
        (
            json.dumps(vars(checkpoint.Manifest.create(4, {}))).encode(),
            "to a run with another network",
        ),
    ],
)
def test_an_invalid_manifest_is_refused(
    finished: Path, net: kk.Network, rows: kk.Inputs, text: bytes, words: str
) -> None:
    (finished / "checkpoint.json").write_bytes(text)
    with pytest.raises(kk.InputError, match=words):
        kk.infer(net, rows, checkpoint=finished, **OPTIONS)
    (finished / "checkpoint.json").unlink()
    with pytest.raises(kk.InputError, match="but no checkpoint.json; empty it"):
        kk.infer(net, rows, checkpoint=finished, **OPTIONS)


def test_a_folder_that_cannot_be_written_is_refused(
    tmp_path: Path, net: kk.Network, rows: kk.Inputs
) -> None:
    (tmp_path / "file").write_text("here")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nope")):
        with pytest.raises(kk.InputError, match="cannot be written"):
            kk.infer(net, rows, checkpoint=folder)


def small_result() -> PartialResult:
    numbers = np.array([1, 4, 8], np.int64)
    values = sp.csr_array(np.array([[1, 0, 2], [0, 3, 0.5]], np.float32))
    return PartialResult(numbers, values, 17, numbers[:2], numbers[2:], np.float32(32))


@pytest.mark.slow
@given(offset=st.integers(0, 10**6), change=st.integers(1, 255), cut=st.booleans())
@settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
def test_a_damaged_shard_is_refused(tmp_path: Path, offset: int, change: int, cut: bool) -> None:
    """One byte is changed, or the end of the file is missing; the message has one line."""
    at = tmp_path / "damaged"
    shutil.rmtree(at, ignore_errors=True)
    facts = {"network": "1"}
    store = checkpoint.open_checkpoint(at, facts, 9, 3, 1)
    store.save(0, small_result())
    path = at / "part-1-of-1.npz"
    content = bytearray(path.read_bytes())
    if cut:
        del content[offset % len(content) :]
    else:
        content[offset % len(content)] ^= change
    path.write_bytes(content)
    with pytest.raises(kk.InputError, match="is damaged") as caught:
        store.load(0)
    assert str(caught.value).startswith(f"{path}: is ")
    assert "\n" not in str(caught.value)


def test_a_saved_shard_is_loaded(tmp_path: Path) -> None:
    store = checkpoint.open_checkpoint(tmp_path, {"network": "1"}, 9, 3, 1)
    store.save(0, small_result())
    result = store.load(0)
    assert result.rows.tolist() == [1, 4, 8]
    assert (result.computed_edges, result.ymax) == (17, 32)
    assert result.saturated.tolist() == [8]
    values = result.select_rows(result.rows).toarray().tolist()
    assert values == [[1, 0, 2], [0, 3, 0.5], [32, 32, 32]]


def test_a_change_of_any_byte_of_a_shard_is_detected(tmp_path: Path) -> None:
    store = checkpoint.open_checkpoint(tmp_path, {"network": "1"}, 9, 3, 1)
    store.save(0, small_result())
    path = tmp_path / "part-1-of-1.npz"
    content = path.read_bytes()
    for offset in range(0, len(content), 5):
        damaged = bytearray(content)
        damaged[offset] ^= 1 << offset % 8
        path.write_bytes(damaged)
        with pytest.raises(kk.InputError, match=r"part-1-of-1\.npz: is damaged .*; delete it to"):
            store.load(0)
    path.write_bytes(content)
    assert store.load(0).computed_edges == 17


def test_any_change_of_the_manifest_is_detected(tmp_path: Path) -> None:
    """Unless the JSON text still has the same meaning."""
    facts = {"network": "1", "input rows": "2"}
    checkpoint.open_checkpoint(tmp_path, facts, 9, 3, 1)
    path = tmp_path / "checkpoint.json"
    content = path.read_bytes()
    for offset in range(len(content)):
        damaged = bytearray(content)
        damaged[offset] ^= 1 << offset % 8
        path.write_bytes(damaged)
        manifest = checkpoint.Manifest.create(1, facts)
        with contextlib.suppress(kk.InputError):
            manifest = checkpoint.open_checkpoint(tmp_path, facts, 9, 3, 1).manifest
        assert manifest == checkpoint.Manifest.create(1, facts)


def test_activations_are_never_dropped(finished: Path, net: kk.Network, rows: kk.Inputs) -> None:
    """A zip directory that hides the last arrays of a shard is detected."""
    path = finished / "part-2-of-4.npz"
    content = bytearray(path.read_bytes())
    entries = [at for at in range(len(content)) if content[at : at + 4] == b"PK\x01\x02"]
    names = [int.from_bytes(content[at + 28 : at + 30], "little") for at in entries]
    rest = sum(46 + length for length in names[5:])
    content[entries[4] + 32 : entries[4] + 34] = rest.to_bytes(2, "little")
    path.write_bytes(content)
    with np.load(path) as archive:
        assert "valued" not in archive.files
    with pytest.raises(kk.InputError, match=r"part-2-of-4\.npz: is damaged"):
        kk.infer(net, rows, checkpoint=finished, **OPTIONS)


def test_an_array_header_with_a_syntax_error_is_detected(
    finished: Path, net: kk.Network, rows: kk.Inputs
) -> None:
    path = finished / "part-1-of-4.npz"
    content = bytearray(path.read_bytes())
    content[content.index(b"}", content.index(b"'descr'", content.index(b"indices.npy")))] ^= 0x40
    path.write_bytes(content)
    with pytest.raises(kk.InputError, match=r"part-1-of-4\.npz: is damaged"):
        kk.infer(net, rows, checkpoint=finished, **OPTIONS)


def test_a_shard_of_another_version_with_a_valid_checksum_is_refused(tmp_path: Path) -> None:
    store = checkpoint.open_checkpoint(tmp_path, {"network": "1"}, 9, 3, 1)
    with (tmp_path / "part-1-of-1.npz").open("wb") as file:
        write_with_checksum(file, lambda sealed: np.savez(sealed, facts=np.array("")))
    with pytest.raises(kk.InputError, match=r"part-1-of-1\.npz: is damaged \("):
        store.load(0)


def test_a_folder_that_a_node_does_not_see_is_refused(finished: Path, tmp_path: Path) -> None:
    checkpoint.check_visible(finished)
    with pytest.raises(kk.InputError, match="is not visible on this node; choose a folder"):
        checkpoint.check_visible(tmp_path / "elsewhere")


def test_the_manifest_has_the_configuration(finished: Path) -> None:
    manifest = json.loads((finished / "checkpoint.json").read_text())
    assert manifest["parts"] == 4
    assert set(manifest["facts"]) == {
        *("network", "input rows", "type of numbers", "kernel", "fold", "verification"),
        "arithmetic",
    }
