"""`python -m bench.ceiling`: the hand-written CPU kernel, the measurement, and the record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.typing import NDArray

from bench.ceiling import cli
from bench.ceiling.bound import BYTES_PER_EDGE, Bound, ReadBandwidth, measure_bound
from bench.ceiling.hand_written import HandWrittenKernel
from bench.ceiling.measure import Samples, largest_difference, timed
from bench.ceiling.native import Native, load_native
from bench.ceiling.report import COMPARED, RUNS
from bench.ceiling.tiled_problem import TileCandidate, TiledProblem
from bench.ceiling.workunit import FusedWorkunit
from kkspdnn.device.space import Space, open_space
from kkspdnn.errors import InputError, ToolchainError
from kkspdnn.io.shipped_images import images
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer
from kkspdnn.model.network import network
from kkspdnn.model.radixnet import radixnet
from kkspdnn.pk.build.toolchain import host_compiler
from kkspdnn.serial_reference import reference
from tests.refusals import refusal


@pytest.fixture(scope="module")
def space() -> Space:
    try:
        host_compiler()
    except ToolchainError as error:
        pytest.skip(str(error))
    return open_space("openmp")


@pytest.fixture(scope="module")
def native(space: Space) -> Native:
    return load_native()


@pytest.mark.slow
@pytest.mark.parametrize("depth", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("rows", [1, 64, 150])
@pytest.mark.parametrize("weight", [None, -0.25, 0.3])
def test_the_hand_written_kernel_computes_the_values_of_the_reference(
    space: Space, native: Native, rows: int, depth: int, weight: float | None
) -> None:
    rng = np.random.default_rng(rows)
    layers = [
        Layer.from_fan_in(
            np.stack([rng.choice(97, 7, replace=False) for _ in range(97)]),
            (rng.normal(size=(97, 7)) if weight is None else np.full((97, 7), weight)).astype("f4"),
            rng.normal(size=97).astype("f4"),
            97,
        )
        for _ in range(5)
    ]
    inputs = Inputs.from_any(sp.random(rows, 97, 0.4, "csr", np.float32, rng))
    kernel = HandWrittenKernel(
        native, TiledProblem.of(space, network(layers, ymax=2.0), inputs), depth
    )
    for count in (1, 4, 5):
        kernel.start()
        kernel.run(count)
        found = kernel.values()
        expected = reference(network(layers[:count], ymax=2.0), inputs, dtype=np.float32)
        # The engine permutes neurons, so compare the sorted values of each row.
        assert np.array_equal(np.sort(found), np.sort(expected.toarray()))
        assert np.count_nonzero(found) > 0


@pytest.mark.parametrize("neurons", [32, 128])
def test_the_workunit_computes_the_same_values(space: Space, native: Native, neurons: int) -> None:
    problem = TiledProblem.of(space, radixnet(neurons, 20), images(neurons, 100))
    candidates: dict[str, TileCandidate] = {
        **{f"workunit {d}": FusedWorkunit(problem, d) for d in (1, 3, 16)},
        **{f"hand-written {d}": HandWrittenKernel(native, problem, d) for d in (1, 3, 20)},
    }
    assert largest_difference(candidates, [1, 3, 17]) == 0
    for candidate in candidates.values():
        assert candidate.values().shape == (100, neurons)
        assert (candidate.values() > 0).any()


def test_networks_that_the_hand_written_kernel_refuses(space: Space, native: Native) -> None:
    def make(*weights: NDArray[np.float64], dtype: str = "float32", **rule: Any) -> None:
        layers = [Layer.from_sparse(sp.csr_array(w.astype(dtype)), 0.0, **rule) for w in weights]
        net = network(layers)
        HandWrittenKernel(
            native, TiledProblem.of(space, net, Inputs.from_any(np.eye(1, net.inputs))), 1
        )

    make(np.eye(3))
    with pytest.raises(InputError, match="float32 in tiles of 64 rows"):
        make(np.eye(3), dtype="float64")
    with pytest.raises(InputError, match="the same fan-in in all layers"):
        make(np.tri(3))
    with pytest.raises(InputError, match="the same fan-in in all layers"):
        make(np.eye(3), np.ones((3, 3)))
    with pytest.raises(InputError, match="the same width in all layers"):
        make(np.ones((3, 2)))
    for rule in ({"bias_to": "all"}, {"activation": "linear"}):
        with pytest.raises(InputError, match="the challenge's bias and ReLU"):
            make(np.eye(3), **rule)


class Recorder:
    """A candidate that only records its calls."""

    def __init__(self, name: str, calls: list[str], value: float = 0.0) -> None:
        self.name, self.calls, self.value = name, calls, value

    def start(self) -> None:
        self.calls.append(f"start {self.name}")

    def run(self, layers: int) -> None:
        self.calls.append(f"{self.name} {layers}")

    def values(self) -> NDArray[np.float32]:
        return np.array([[1, self.value]], np.float32)


def test_or_better_keeps_the_higher_value_of_each_field() -> None:
    low, high = ReadBandwidth(1, 1.0, 1.0, 1.0), ReadBandwidth(1, 2.0, 2.0, 2.0)
    one, other = Bound(3.0, 64, 4.0, 30.0, low, high), Bound(2.0, 64, 4.0, 20.0, high, low)
    assert one.or_better(other) == other.or_better(one) == Bound(3.0, 64, 4.0, 30.0, high, high)


def test_candidates_run_in_turns() -> None:
    calls: list[str] = []
    seconds = timed({name: Recorder(name, calls) for name in "abc"}, 5, 3)
    assert [len(seconds[name]) for name in "abc"] == [3, 3, 3]
    assert [call[0] for call in calls[1::2]] == list("abcbcacababc")
    assert calls[::2] == [f"start {run[0]}" for run in calls[1::2]]
    assert set(calls[1::2]) == {"a 5", "b 5", "c 5"}


def test_the_largest_difference() -> None:
    def difference(*values: float) -> float:
        return largest_difference({str(i): Recorder("", [], v) for i, v in enumerate(values)}, [1])

    assert difference(3, 3) == 0
    assert difference(3, 3, 1) == 2
    assert np.isnan(difference(3, np.nan, 3))


def test_samples() -> None:
    assert Samples.of([3.0, 1.0, 2.0]) == Samples(2.0, 1.0, 3.0, (3.0, 1.0, 2.0))


def test_the_measured_bound_is_plausible(native: Native) -> None:
    bound = measure_bound(native, 1)
    assert 2e8 < bound.clock_hertz < 2e10
    assert bound.vector_bytes in (16, 32, 64)
    assert bound.one_load_edges_per_second == pytest.approx(
        bound.clock_hertz * bound.vector_bytes / 4
    )
    for cache in (bound.l1, bound.l2):
        assert cache.bytes > 0
        assert 0.01 < cache.loads_per_cycle < 8
        assert cache.edges_per_second == pytest.approx(cache.bytes_per_second / BYTES_PER_EDGE)


def test_the_record(native: Native, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "record.json"
    options = ["--neurons", "64", "--rows", "130", "--layers", "3", "--json", str(file)]
    assert cli.main(options) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "values      the same after layers 1, 3" in printed.out
    assert "  hand-written, depth 1 " in printed.out
    record = json.loads(file.read_text())
    assert record["command"] == f"python -m bench.ceiling {' '.join(options)}"
    assert (record["neurons"], record["layers"], record["inputs"]) == (64, 3, 130)
    assert record["edges"] == 64 * 32 * 3
    assert record["largest_difference"] == 0
    assert all(record[name] for name in ("machine", "compiler", "kokkos_version", "pk", "network"))
    assert "-ffp-contract=off" in record["flags"]
    rates: Mapping[str, Mapping[str, list[float]]] = record["edges_per_second"]
    assert list(record["ratios"]) == [f"{workunit} / {other}" for workunit, other in COMPARED]
    for workunit, other in COMPARED:
        pairs = zip(rates[workunit]["samples"], rates[other]["samples"], strict=True)
        expected = [a / b for a, b in pairs]
        ratio = record["ratios"][f"{workunit} / {other}"]
        assert ratio["samples"] == pytest.approx(expected)
        assert len(expected) == RUNS >= 7
        assert ratio["median"] == sorted(ratio["samples"])[RUNS // 2]


def test_different_values_fail(
    native: Native, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.ceiling.report.largest_difference", lambda *_: float("nan"))
    assert cli.main(["--neurons", "32", "--rows", "1", "--layers", "1"]) == 1
    assert "values      DIFFERENT" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--neurons", "1000"], "1000 neurons: a RadiX-Net has"),
        (["--rows", "0"], "'0' is not a whole number from 1"),
        (["--json", "/no/such/folder/x.json"], "/no/such/folder"),
        (["--runs"], "unknown option --runs"),
    ],
)
def test_errors_are_one_line(
    capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert message in refusal(capsys, *options, command=cli.main)
