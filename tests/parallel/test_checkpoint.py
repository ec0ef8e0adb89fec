"""Finished parts in a folder: the same answer from any of them, and nothing of another run."""

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

OPTIONS: dict[str, Any] = {"values": True, "verification": "full"}


@pytest.fixture(scope="module")
def net() -> kk.Network:
    return kk.radixnet(64, 6)


@pytest.fixture(scope="module")
def rows() -> kk.Inputs:
    return kk.images(64, 1000)


@pytest.fixture
def kept(tmp_path: Path, net: kk.Network, rows: kk.Inputs, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The checkpoint of a run that was done, in four parts."""
    monkeypatch.setattr(checkpoint, "_PART_ROWS", 250)
    folder = tmp_path / "new" / "kept"
    done = kk.infer(net, rows, checkpoint=folder, **OPTIONS)
    assert done.record.saved_rows == 0
    same(done, kk.infer(net, rows, **OPTIONS))
    names = [f"part-{number}-of-4.npz" for number in (1, 2, 3, 4)]
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint.json", *names]
    return folder


def same(one: kk.Result, other: kk.Result) -> None:
    assert np.array_equal(one.categories, other.categories)
    assert one.values is not None
    assert other.values is not None
    for name in ("indptr", "indices", "data"):
        assert np.array_equal(getattr(one.values, name), getattr(other.values, name))
    assert one.record.verified.passed is True


def test_any_parts_may_be_missing(kept: Path, net: kk.Network, rows: kk.Inputs) -> None:
    right = kk.infer(net, rows, **OPTIONS)
    for missing in ((), (2,), (1, 4), (1, 2, 3, 4)):
        for number in missing:
            (kept / f"part-{number}-of-4.npz").unlink()
        again = kk.infer(net, rows, checkpoint=kept, **OPTIONS)
        same(again, right)
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
        ({"values": False, "verification": "sample"}, "verification"),
    ],
)
def test_other_options_are_refused(
    kept: Path, net: kk.Network, rows: kk.Inputs, options: dict[str, Any], word: str
) -> None:
    with pytest.raises(kk.InputError, match=f"is of a run with another .*{word}"):
        kk.infer(net, rows, checkpoint=kept, **{**OPTIONS, **options})


def test_other_problems_are_refused(kept: Path, net: kk.Network, rows: kk.Inputs) -> None:
    layers = list(net.layers)
    for other in (
        kk.radixnet(64, 6, seed=1),
        kk.radixnet(64, 5),
        kk.network(layers, ymax=31.0),
        kk.network([*layers[:-1], replace(layers[-1], bias_to="all")]),
        kk.network([*layers[:-1], replace(layers[-1], activation="linear")]),
        kk.network([*layers[:-1], kk.Layer.from_sparse(layers[-1].weights(), -0.1)]),
    ):
        with pytest.raises(kk.InputError, match="is of a run with another network;"):
            kk.infer(other, rows, checkpoint=kept, **OPTIONS)
    with pytest.raises(kk.InputError, match="another input rows;"):
        kk.infer(net, rows.slice(0, 999), checkpoint=kept, **OPTIONS)
    assert rows.bits is not None
    swapped = kk.Inputs(1000, 64, "here", bits=rows.bits[::-1].copy())
    with pytest.raises(kk.InputError, match="another input rows;"):
        kk.infer(net, swapped, checkpoint=kept, **OPTIONS)


def test_options_that_change_no_value_may_change(
    kept: Path, net: kk.Network, rows: kk.Inputs
) -> None:
    (kept / "part-3-of-4.npz").unlink()
    again = kk.infer(net, rows, checkpoint=kept, space="serial", exits="none", **OPTIONS)
    same(again, kk.infer(net, rows, **OPTIONS))


def test_another_part_under_this_name_is_refused(
    kept: Path, net: kk.Network, rows: kk.Inputs, tmp_path: Path
) -> None:
    kk.infer(kk.radixnet(64, 5), rows, checkpoint=tmp_path / "other", **OPTIONS)
    shutil.copy(tmp_path / "other" / "part-2-of-4.npz", kept)
    with pytest.raises(kk.InputError, match=r"part-2-of-4.npz: is of another run or part; delete"):
        kk.infer(net, rows, checkpoint=kept, **OPTIONS)
    shutil.copy(kept / "part-1-of-4.npz", kept / "part-2-of-4.npz")
    with pytest.raises(kk.InputError, match=r"part-2-of-4.npz: is of another run or part"):
        kk.infer(net, rows, checkpoint=kept, **OPTIONS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "not JSON"),
        (b"{}", "format: None is not"),
        (
            b'{"format": "kkspdnn-checkpoint-1", "parts": 4, "facts": {}}',
            "'kkspdnn-checkpoint-1' is not 'kkspdnn-checkpoint-2', that of this version; give",
        ),
        (b'{"format": "kkspdnn-checkpoint-2", "parts": 4}', "facts: this field is missing"),
        (
            b'{"format": "kkspdnn-checkpoint-2", "parts": 4, "facts": {}, "sha256": "0"}',
            "checkpoint.json: is damaged; delete the folder",
        ),
        (json.dumps(vars(checkpoint.Manifest.of(0, {}))).encode(), "0 is no number of parts"),
        (json.dumps(vars(checkpoint.Manifest.of(10**9, {}))).encode(), "is no number of parts"),
        (json.dumps(vars(checkpoint.Manifest.of(4, {}))).encode(), "of a run with another network"),
    ],
)
def test_a_manifest_that_cannot_be(
    kept: Path, net: kk.Network, rows: kk.Inputs, text: bytes, words: str
) -> None:
    (kept / "checkpoint.json").write_bytes(text)
    with pytest.raises(kk.InputError, match=words):
        kk.infer(net, rows, checkpoint=kept, **OPTIONS)
    (kept / "checkpoint.json").unlink()
    with pytest.raises(kk.InputError, match="parts without a checkpoint.json"):
        kk.infer(net, rows, checkpoint=kept, **OPTIONS)


def test_a_folder_that_cannot_be(tmp_path: Path, net: kk.Network, rows: kk.Inputs) -> None:
    (tmp_path / "file").write_text("here")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nope")):
        with pytest.raises(kk.InputError, match="cannot be written"):
            kk.infer(net, rows, checkpoint=folder)


def small_outcome() -> PartialResult:
    numbers = np.array([1, 4, 8], np.int64)
    values = sp.csr_array(np.array([[1, 0, 2], [0, 3, 0.5]], np.float32))
    return PartialResult(numbers, values, 17, numbers[:2], numbers[2:], np.float32(32))


@given(place=st.integers(0, 10**6), change=st.integers(1, 255), cut=st.booleans())
@settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
def test_a_damaged_part_is_never_taken(tmp_path: Path, place: int, change: int, cut: bool) -> None:
    """Each byte is changed or missing: refused in one line."""
    at = tmp_path / "damaged"
    shutil.rmtree(at, ignore_errors=True)
    facts = {"network": "1"}
    store = checkpoint.open_checkpoint(at, facts, 9, 3, 1)
    store.save(0, small_outcome())
    path = at / "part-1-of-1.npz"
    content = bytearray(path.read_bytes())
    if cut:
        del content[place % len(content) :]
    else:
        content[place % len(content)] ^= change
    path.write_bytes(content)
    with pytest.raises(kk.InputError, match="is damaged") as caught:
        store.load(0)
    assert str(caught.value).startswith(f"{path}: is ")
    assert "\n" not in str(caught.value)


def test_a_part_comes_back(tmp_path: Path) -> None:
    store = checkpoint.open_checkpoint(tmp_path, {"network": "1"}, 9, 3, 1)
    store.save(0, small_outcome())
    found = store.load(0)
    assert found.rows.tolist() == [1, 4, 8]
    assert (found.computed_edges, found.ymax) == (17, 32)
    assert found.saturated.tolist() == [8]
    values = found.take(found.rows).toarray().tolist()
    assert values == [[1, 0, 2], [0, 3, 0.5], [32, 32, 32]]


def test_no_byte_of_a_part_may_change(tmp_path: Path) -> None:
    store = checkpoint.open_checkpoint(tmp_path, {"network": "1"}, 9, 3, 1)
    store.save(0, small_outcome())
    path = tmp_path / "part-1-of-1.npz"
    content = path.read_bytes()
    for place in range(0, len(content), 5):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(kk.InputError, match=r"part-1-of-1\.npz: is damaged .*; delete it, and"):
            store.load(0)
    path.write_bytes(content)
    assert store.load(0).computed_edges == 17


def test_every_change_of_the_manifest_is_seen(tmp_path: Path) -> None:
    """Or it is a change of JSON that means the same."""
    facts = {"network": "1", "input rows": "2"}
    checkpoint.open_checkpoint(tmp_path, facts, 9, 3, 1)
    path = tmp_path / "checkpoint.json"
    content = path.read_bytes()
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        found = checkpoint.Manifest.of(1, facts)
        with contextlib.suppress(kk.InputError):
            found = checkpoint.open_checkpoint(tmp_path, facts, 9, 3, 1).manifest
        assert found == checkpoint.Manifest.of(1, facts)


def test_activations_are_never_dropped(kept: Path, net: kk.Network, rows: kk.Inputs) -> None:
    """A zip directory that hides the arrays behind the first ones: a part is refused, whole."""
    path = kept / "part-2-of-4.npz"
    content = bytearray(path.read_bytes())
    entries = [at for at in range(len(content)) if content[at : at + 4] == b"PK\x01\x02"]
    names = [int.from_bytes(content[at + 28 : at + 30], "little") for at in entries]
    rest = sum(46 + length for length in names[5:])
    content[entries[4] + 32 : entries[4] + 34] = rest.to_bytes(2, "little")
    path.write_bytes(content)
    with np.load(path) as archive:
        assert "valued" not in archive.files
    with pytest.raises(kk.InputError, match=r"part-2-of-4\.npz: is damaged"):
        kk.infer(net, rows, checkpoint=kept, **OPTIONS)


def test_a_header_that_is_no_python_is_damage(kept: Path, net: kk.Network, rows: kk.Inputs) -> None:
    path = kept / "part-1-of-4.npz"
    content = bytearray(path.read_bytes())
    content[content.index(b"}", content.index(b"'descr'", content.index(b"indices.npy")))] ^= 0x40
    path.write_bytes(content)
    with pytest.raises(kk.InputError, match=r"part-1-of-4\.npz: is damaged"):
        kk.infer(net, rows, checkpoint=kept, **OPTIONS)


def test_a_sealed_part_of_another_version_is_refused(tmp_path: Path) -> None:
    store = checkpoint.open_checkpoint(tmp_path, {"network": "1"}, 9, 3, 1)
    with (tmp_path / "part-1-of-1.npz").open("wb") as file:
        write_with_checksum(file, lambda sealed: np.savez(sealed, facts=np.array("")))
    with pytest.raises(kk.InputError, match=r"part-1-of-1\.npz: is damaged \("):
        store.load(0)


def test_a_node_that_does_not_see_the_folder_says_so(kept: Path, tmp_path: Path) -> None:
    checkpoint.check_folder(kept)
    with pytest.raises(kk.InputError, match="not seen here; give a folder that nodes share"):
        checkpoint.check_folder(tmp_path / "elsewhere")


def test_the_manifest_names_what_values_depend_on(kept: Path) -> None:
    manifest = json.loads((kept / "checkpoint.json").read_text())
    assert manifest["parts"] == 4
    assert set(manifest["facts"]) == {
        *("network", "input rows", "type of numbers", "kernel", "fold", "verification"),
        "arithmetic",
    }
