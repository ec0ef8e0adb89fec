"""Outputs that are the same file, or an input, are refused before the run."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from kkspdnn.cli.output_files import check_distinct
from kkspdnn.errors import InputError


def test_different_files_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "y.npy").write_bytes(b"of the previous run")
    (tmp_path / "net" / "layer-1.npz").write_bytes(b"")
    outputs = {
        "--json": tmp_path / "a.json",
        "--categories": tmp_path / "a.txt",
        "--outputs": tmp_path / "net" / "y.npy",
    }
    check_distinct(outputs, {"--data": tmp_path / "net", "--checkpoint": tmp_path / "not-there"})
    check_distinct({}, {})


def test_two_paths_of_the_same_file_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file, folder = tmp_path / "a", tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "other").symlink_to(folder)
    check_distinct({"--json": folder / "a", "--outputs": file}, {})
    for one, other in (
        (Path("a"), file),
        (file, Path("folder/../a")),
        (file, tmp_path / "link"),
        (folder / "b", tmp_path / "other" / "b"),
    ):
        message = f"--json and --outputs are one file, {one} and {other}; give two files"
        with pytest.raises(InputError, match=re.escape(message)):
            check_distinct({"--json": one, "--outputs": other}, {})
    with pytest.raises(InputError, match="--json and --categories are both a; give two files"):
        check_distinct({"--json": Path("a"), "--categories": Path("a")}, {})
    file.write_bytes(b"")
    os.link(file, tmp_path / "hard")
    with pytest.raises(InputError, match="are one file"):
        check_distinct({"--json": file, "--outputs": tmp_path / "hard"}, {})


def test_devices_are_compared_by_name() -> None:
    check_distinct({"--json": Path("/dev/stdout"), "--categories": Path("/dev/stderr")}, {})
    with pytest.raises(InputError, match="are both /dev/stdout"):
        check_distinct({"--json": Path("/dev/stdout"), "--categories": Path("/dev/stdout")}, {})


INPUTS = [
    *("net/layer-1.npz", "net/layer-7.npz", "net/bias-1.npy", "net/network.json", "net/inputs.npz"),
    *("net/inputs.npy", "./net/../net/layer-1.npz", "net/layer_2.npz", "net/sparse-images-64.tsv"),
    *(
        "net/neuron64/n64-l1.tsv",
        "link/layer-1.npz",
        "to-layer",
        "hard-layer",
        "net/checkpoint.json",
    ),
    *("net/part-1-of-4.npz", "net/neuron64-l2-categories.tsv"),
]


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_is_not_overwritten(tmp_path: Path, name: str) -> None:
    net = tmp_path / "net"
    (net / "neuron64").mkdir(parents=True)
    (net / "layer-1.npz").write_bytes(b"")
    (net / "neuron64-l2-categories.tsv").write_bytes(b"")
    (tmp_path / "link").symlink_to(net)
    (tmp_path / "to-layer").symlink_to(net / "layer-1.npz")
    os.link(net / "layer-1.npz", tmp_path / "hard-layer")
    with pytest.raises(InputError, match=r"--json .*: is a file that --data .*net reads; give"):
        check_distinct({"--json": tmp_path / name}, {"--data": net})


def test_the_target_of_a_link_in_the_folder_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "weights.npz").write_bytes(b"")
    (tmp_path / "net" / "layer-1.npz").symlink_to(tmp_path / "weights.npz")
    with pytest.raises(InputError, match=r"--outputs .*weights.npz: is a file that --data"):
        check_distinct({"--outputs": tmp_path / "weights.npz"}, {"--data": tmp_path / "net"})


def test_a_missing_file_of_categories_may_be_written(tmp_path: Path) -> None:
    check_distinct({"--categories": tmp_path / "neuron64-l2-categories.tsv"}, {"--data": tmp_path})


def test_a_file_of_images_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "images").write_bytes(b"")
    with pytest.raises(InputError, match="--categories .*: is a file that --mnist .*images reads"):
        check_distinct({"--categories": tmp_path / "images"}, {"--mnist": tmp_path / "images"})
