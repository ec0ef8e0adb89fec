"""The kernel written by hand, what it is measured with, and the record."""

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
from bench.ceiling.bound import BYTES_PER_EDGE, Bound, Reading, measure_bound
from bench.ceiling.hand import Hand
from bench.ceiling.measure import Samples, largest_difference, timed
from bench.ceiling.native import Native, load_native
from bench.ceiling.ours import Ours
from bench.ceiling.report import COMPARED, RUNS
from bench.ceiling.work import Work
from kkspdnn.device.space import Space, open_space
from kkspdnn.errors import InputError, ToolchainError
from kkspdnn.io.shipped_images import images
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Layer, network
from kkspdnn.model.radixnet import radixnet
from kkspdnn.pk.build.toolchain import host_compiler
from kkspdnn.serial_reference import reference


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


@pytest.mark.parametrize("depth", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("rows", [1, 64, 150])
@pytest.mark.parametrize("weight", [None, -0.25, 0.3])
def test_the_hand_kernel_gives_the_reference_s_values(
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
    hand = Hand(native, Work.of(space, network(layers, ymax=2.0), inputs), depth)
    for count in (1, 4, 5):
        hand.start()
        hand.run(count)
        found = hand.values()
        expected = reference(network(layers[:count], ymax=2.0), inputs, dtype=np.float32)
        # Where a neuron lies is the engine's business, not the kernel's.
        assert np.array_equal(np.sort(found), np.sort(expected.toarray()))
        assert np.count_nonzero(found) > 0


@pytest.mark.parametrize("neurons", [32, 128])
def test_the_workunit_gives_the_same_values(space: Space, native: Native, neurons: int) -> None:
    work = Work.of(space, radixnet(neurons, 20), images(neurons, 100))
    all_ways = {
        **{f"ours {depth}": Ours(work, depth) for depth in (1, 3, 16)},
        **{f"hand {depth}": Hand(native, work, depth) for depth in (1, 3, 20)},
    }
    assert largest_difference(all_ways, [1, 3, 17]) == 0
    for way in all_ways.values():
        assert way.values().shape == (100, neurons)
        assert (way.values() > 0).any()


def test_networks_that_the_hand_kernel_does_not_take(space: Space, native: Native) -> None:
    def make(*weights: NDArray[np.float64], dtype: str = "float32", **rule: Any) -> None:
        layers = [Layer.from_sparse(sp.csr_array(w.astype(dtype)), 0.0, **rule) for w in weights]
        net = network(layers)
        Hand(native, Work.of(space, net, Inputs.from_any(np.eye(1, net.inputs))), 1)

    make(np.eye(3))
    with pytest.raises(InputError, match="float32 in tiles of 64 rows"):
        make(np.eye(3), dtype="float64")
    with pytest.raises(InputError, match="layers of one fan-in"):
        make(np.tri(3))
    with pytest.raises(InputError, match="layers of one fan-in"):
        make(np.eye(3), np.ones((3, 3)))
    with pytest.raises(InputError, match="layers of one width"):
        make(np.ones((3, 2)))
    for rule in ({"bias_to": "all"}, {"activation": "linear"}):
        with pytest.raises(InputError, match="the challenge's bias and ReLU"):
            make(np.eye(3), **rule)


class Recorder:
    """A contender that only says when it runs."""

    def __init__(self, name: str, order: list[str], value: float = 0.0) -> None:
        self.name, self.order, self.value = name, order, value

    def start(self) -> None:
        self.order.append(f"start {self.name}")

    def run(self, layers: int) -> None:
        self.order.append(f"{self.name} {layers}")

    def values(self) -> NDArray[np.float32]:
        return np.array([[1, self.value]], np.float32)


def test_the_better_bound_is_taken_number_by_number() -> None:
    low, high = Reading(1, 1.0, 1.0, 1.0), Reading(1, 2.0, 2.0, 2.0)
    one, other = Bound(3.0, 64, 4.0, 30.0, low, high), Bound(2.0, 64, 4.0, 20.0, high, low)
    assert one.or_better(other) == other.or_better(one) == Bound(3.0, 64, 4.0, 30.0, high, high)


def test_contenders_take_turns() -> None:
    order: list[str] = []
    seconds = timed({name: Recorder(name, order) for name in "abc"}, 5, 3)
    assert [len(seconds[name]) for name in "abc"] == [3, 3, 3]
    assert [o[0] for o in order[1::2]] == list("abcbcacababc")
    assert order[::2] == [f"start {run[0]}" for run in order[1::2]]
    assert set(order[1::2]) == {"a 5", "b 5", "c 5"}


def test_the_largest_difference() -> None:
    def of(*values: float) -> float:
        return largest_difference({str(i): Recorder("", [], v) for i, v in enumerate(values)}, [1])

    assert of(3, 3) == 0
    assert of(3, 3, 1) == 2
    assert np.isnan(of(3, np.nan, 3))


def test_samples() -> None:
    assert Samples.of([3.0, 1.0, 2.0]) == Samples(2.0, 1.0, 3.0, (3.0, 1.0, 2.0))


def test_the_bound_is_of_this_world(native: Native) -> None:
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
    said = capsys.readouterr()
    assert said.err == ""
    assert "values      the same after layers 1, 3" in said.out
    record = json.loads(file.read_text())
    assert record["command"] == f"python -m bench.ceiling {' '.join(options)}"
    assert (record["neurons"], record["layers"], record["inputs"]) == (64, 3, 130)
    assert record["edges"] == 64 * 32 * 3
    assert record["largest_difference"] == 0
    assert all(record[name] for name in ("machine", "compiler", "kokkos_version", "pk", "network"))
    assert "-ffp-contract=off" in record["flags"]
    rates: Mapping[str, Mapping[str, list[float]]] = record["edges_per_second"]
    assert list(record["ratios"]) == [f"{ours} / {hand}" for ours, hand in COMPARED]
    for ours, hand in COMPARED:
        pairs = zip(rates[ours]["samples"], rates[hand]["samples"], strict=True)
        expected = [one / other for one, other in pairs]
        ratio = record["ratios"][f"{ours} / {hand}"]
        assert ratio["samples"] == pytest.approx(expected)
        assert len(expected) == RUNS >= 7
        assert ratio["median"] == sorted(ratio["samples"])[RUNS // 2]


def test_other_values_are_told(
    native: Native, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.ceiling.report.largest_difference", lambda *_: float("nan"))
    assert cli.main(["--neurons", "32", "--rows", "1", "--layers", "1"]) == 1
    assert "values      DIFFERENT" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--neurons", "1000"], "1000 neurons: a RadiX-Net has"),
        (["--rows", "0"], "'0' is not a whole number from 1"),
        (["--json", "/no/such/folder/x.json"], "/no/such/folder"),
        (["--runs"], "unrecognized arguments: --runs"),
    ],
)
def test_mistakes_are_one_line(
    capsys: pytest.CaptureFixture[str], options: list[str], why: str
) -> None:
    try:
        code: object = cli.main(options)
    except SystemExit as left:
        code = left.code
    said = capsys.readouterr()
    assert (code, said.out, said.err.count("\n")) == (2, "", 1)
    assert why in said.err
