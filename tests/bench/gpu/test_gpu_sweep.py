"""The sweep over shapes and forms of a launch: on a CPU, and the shapes of a GPU on the host."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.gpu import forms, networks, sweep
from kkspdnn.device.launch_parameters import LaunchParameters
from kkspdnn.tuning.legality import find_illegal
from tests.cuda_on_host import CudaOnHost

DEFAULT = LaunchParameters.default("cuda")


@pytest.fixture
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (forms, sweep):
        monkeypatch.setattr(module, "NEURONS", 64)
        monkeypatch.setattr(module, "LAYERS", 2)
    monkeypatch.setattr(forms, "RUNS", 1)


@pytest.mark.slow
def test_on_a_cpu_all_values_are_the_same(tmp_path: Path, small_networks: None) -> None:
    assert sweep.command(argparse.Namespace(space="openmp", small=True, records=tmp_path)) == 0
    record = json.loads((tmp_path / "sweep-openmp.json").read_text())
    assert record["schema"] == sweep.SCHEMA
    points = record["points"]
    assert all(each["same"] for each in (*points, *record["forms"]))
    assert len({(p["rows_a_tile"], p["layers_a_launch"]) for p in points}) == len(points) == 9
    assert [each["workunit"] for each in record["forms"][::2]] == [
        "fused_equal", "fused_fan_in", "fused_groups", "fused_groups", "fused_csr",
    ]  # fmt: skip


@pytest.mark.slow
def test_the_shapes_of_a_gpu(
    tmp_path: Path,
    small_networks: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    space = CudaOnHost(tmp_path).space()
    monkeypatch.setattr(sweep, "open_space", lambda name: space)
    assert sweep.command(argparse.Namespace(space="cuda", small=True, records=None)) == 0
    lines = capsys.readouterr().out.splitlines()
    shapes = len(list(sweep._shapes(DEFAULT)))
    assert sum(line.startswith("600 rows, ") for line in lines) == 3 * shapes
    assert "FAIL" not in "".join(lines)
    assert len([line for line in lines if line.startswith("fused_")]) == len(forms.FORMS) * 4
    merged = [line for line in lines if "no neurons are merged" in line]
    assert [line.split()[:2] for line in merged] == [["fused_groups", "equal"]] * 4
    rates = [float(line.split(" edges/s")[0].split()[-1]) for line in lines[-3 * shapes - 1 :]]
    assert lines[-1].startswith("best: ")
    assert rates[-1] == max(rates[:-1])


def test_shapes_are_legal_and_the_default_comes_first() -> None:
    shapes = list(sweep._shapes(DEFAULT))
    assert shapes[0] == DEFAULT
    assert len(set(shapes)) == len(shapes) == 27
    assert all(find_illegal(shape, "cuda", np.dtype("f4")) is None for shape in shapes)
    differing = [
        sum(
            getattr(shape, name) != getattr(DEFAULT, name)
            for name in ("vector_length", "lanes_per_thread", "team_threads")
        )
        for shape in shapes
    ]
    assert differing == sorted(differing)


@pytest.mark.slow
def test_shapes_end_at_the_time_limit(
    small_networks: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sweep, "_SECONDS", {64: 0.0})
    points: list[Any] = list(sweep._points(sweep.open_space("openmp"), False))
    assert [point.layers_a_launch for point in points] == [16, 1, 4]
    assert "64 rows: no time for 2 of 3 shapes" in capsys.readouterr().out


def test_the_networks_of_the_forms() -> None:
    net = networks.different_weights(64, 2)
    ragged = networks.different_weights(64, 2, ragged=True)
    assert {layer.fan_in for layer in net.layers} == {32}
    assert {layer.fan_in for layer in ragged.layers} == {None}
    assert ragged.edges == net.edges - 2
    assert len(np.unique(net.layers[0].value)) > 1000
