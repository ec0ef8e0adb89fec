"""The engines with device arrays, as on a GPU.

A fake CuPy replaces CuPy, and launches run on the host, with tiles in the shape of a GPU's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from kkspdnn.choices import EXITS, Exits
from kkspdnn.device.double_buffer import DoubleBuffer
from kkspdnn.device.memory import Budget
from kkspdnn.device.space import Space
from kkspdnn.engines import make_engine
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.errors import InputError
from kkspdnn.inference import infer
from kkspdnn.io.shipped_images import images
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer
from kkspdnn.model.network import Network, network
from kkspdnn.model.radixnet import radixnet
from kkspdnn.pk.build.cache import Cache
from kkspdnn.records.run import Launch
from kkspdnn.tuning.candidates import axes, candidates
from kkspdnn.tuning.case import TuningCase
from kkspdnn.tuning.store import keep_tuned
from tests.cupy_on_host import OnDevice, fake_gpu, pool_of


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Space:
    """A space with tiles and arrays as on a GPU, for `infer` too."""
    made = fake_gpu()
    monkeypatch.setattr("kkspdnn.inference.run.open_space", lambda *_: made)
    return made


def ragged(dtype: str) -> Network:
    """Return a network with different fan-ins and weights, and layers of different widths."""
    rng = np.random.default_rng(7)
    widths = [40, 56, 56, 56, 24]
    layers = [
        Layer.from_sparse(
            sp.random_array((a, b), density=0.2, rng=rng, dtype=dtype), np.full(b, -0.01, dtype)
        )
        for a, b in zip(widths, widths[1:], strict=False)
    ]
    return network(layers, ymax=None)


@pytest.mark.parametrize("kernel", ["fused", "spgemm"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("exits", EXITS)
@pytest.mark.parametrize("rows", [1, 31, 700])
def test_results(device: Space, kernel: Any, dtype: str, exits: Exits, rows: int) -> None:
    for net, inputs in (
        (radixnet(64, 24, dtype=dtype), images(64, rows)),
        (ragged(dtype), (np.arange(rows * 40).reshape(rows, 40) % 7 < 2).astype(dtype)),
    ):
        result = infer(
            net, inputs, space="cuda", kernel=kernel, exits=exits, dtype=dtype,
            values=True, verify="full",
        )  # fmt: skip
        assert result.record.verified.passed
        assert result.record.verified.rows == rows
        assert result.record.space == "cuda"


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("exits", EXITS)
def test_results_with_all_candidates_of_tuning(
    device: Space, dtype: str, exits: Exits, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, rows = radixnet(64, 8, dtype=dtype), images(64, 700)
    seen = set()
    for axis in axes("cuda"):
        for candidate in candidates(axis, device.launch, "cuda", np.dtype(dtype)):
            other = replace(device, launch=candidate)
            monkeypatch.setattr("kkspdnn.inference.run.open_space", lambda *_, o=other: o)
            record = infer(net, rows, space="cuda", exits=exits, dtype=dtype, verify="full").record
            assert record.verified.passed
            assert record.launch is not None
            seen.add(record.launch.parameters)
    assert len(seen) >= 12
    assert {each.lanes(np.dtype(dtype)) for each in seen} >= {8, 16, 32, 64, 128}


def test_a_tuned_run(device: Space, tuned_cache: Cache) -> None:
    net, rows = radixnet(64, 24), images(64, 700)
    case = TuningCase.of(device, net, np.dtype(np.float32), "fused", "all")
    tuned = replace(device.launch, vector_length=8, team_size=8)
    keep_tuned(case, tuned, rows=700, pairs=20, default_seconds=2.0, seconds=1.0)
    record = infer(net, rows, space="cuda", verify="full").record
    assert record.verified.passed
    assert record.launch == Launch("tuned", tuned)


@pytest.mark.parametrize("kernel", ["fused", "spgemm"])
def test_overflow_is_detected(device: Space, kernel: Any) -> None:
    layer = Layer.from_sparse(np.full((8, 8), 1e38, np.float32), np.zeros(8, np.float32))
    net = network([layer] * 3, ymax=None)
    with pytest.raises(InputError, match="layer 1: the activations overflow float32"):
        infer(net, np.ones((40, 8), np.float32), space="cuda", kernel=kernel)


@pytest.mark.parametrize("exits", EXITS)
@pytest.mark.parametrize("rows", [40, 700])
def test_the_first_layer_that_overflows_is_named(device: Space, exits: Exits, rows: int) -> None:
    weights = (1.0, 1e19, 1e20, 1e20, 1.0, 1.0)
    layers = [Layer.from_sparse(np.full((8, 8), w, np.float32), np.zeros(8, "f4")) for w in weights]
    net = network(layers, ymax=None)
    with pytest.raises(InputError, match="layer 3: the activations overflow float32"):
        infer(net, np.ones((rows, 8), np.float32), space="cuda", exits=exits)


@pytest.fixture
def events(
    device: Space, record_labels: Callable[[Any], list[str]], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """The labels of launches, and `wait` for each other wait of the host for the device."""
    made = record_labels(device.pk)
    to_host, is_true = device.xp.asnumpy, OnDevice.__bool__

    def waiting(function: Any) -> Any:
        def run(array: Any) -> Any:
            made.append("wait")
            return function(array)

        return run

    monkeypatch.setattr(device.xp, "asnumpy", waiting(to_host))
    monkeypatch.setattr(OnDevice, "__bool__", waiting(is_true))
    return made


def run_fused(device: Space, net: Network, inputs: Inputs, events: list[str]) -> Any:
    """Run the fused engine with all exits; `events` are then those of the run alone."""
    engine = make_engine("fused", device, net.dtype, net.ymax, "all")
    layers = LayerStore(net, engine, net.dtype)
    engine.compute_exit_bounds(layers, inputs)
    events.clear()
    (result,) = engine.run(layers, inputs, None, lambda _: None)
    return result


@pytest.mark.parametrize("exits", ["all", "none"])
@pytest.mark.parametrize(("rows", "tiles"), [(700, 0), (700, 3), (640, 2), (31, 1)])
def test_input_rows_arrive_in_blocks(
    device: Space,
    events: list[str],
    rows: int,
    tiles: int,
    exits: Exits,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Blocks of full tiles, of rows of 64 bits; dense blocks of one tile. The last block may have
    fewer rows."""
    lanes = device.for_rows(rows, np.dtype("f4")).launch.lanes(np.dtype("f4"))
    all_tiles = -(-rows // lanes)
    monkeypatch.setattr("kkspdnn.engines.fused.row_loader._BLOCK_BYTES", tiles * lanes * 8 + 5)
    dense = (np.arange(rows * 40).reshape(rows, 40) % 7 < 2).astype(np.float32)
    for net, inputs, label in (
        (radixnet(64, 24), images(64, rows), "unpack_bits"),
        (ragged("float32"), dense, "unpack_dense"),
    ):
        engine = make_engine("fused", device.for_rows(rows, net.dtype), net.dtype, net.ymax, exits)
        layers = LayerStore(net, engine, net.dtype)
        engine.compute_exit_bounds(layers, Inputs.from_any(inputs))
        engine.allocate(layers, Inputs.from_any(inputs))
        for _ in range(2):
            events.clear()
            (part,) = engine.run(layers, Inputs.from_any(inputs), None, lambda _: None)
            blocks = -(-all_tiles // max(1, tiles)) if label == "unpack_bits" else all_tiles
            assert events.count(label) == blocks
        expected = infer(net, inputs, space="cuda", verify="full").categories
        assert np.array_equal(part.rows + 1, expected)


@pytest.mark.parametrize(("neurons", "layers", "rows"), [(64, 24, 2000), (256, 40, 3000)])
def test_the_host_waits_for_the_number_of_active_rows_only(
    device: Space, events: list[str], neurons: int, layers: int, rows: int
) -> None:
    """Until the result. Rows go to zero and saturate, and are dropped several times."""
    net, inputs = radixnet(neurons, layers), images(neurons, rows)
    result = run_fused(device, net, inputs, events)
    last = max(number for number, event in enumerate(events) if event != "wait")
    assert "wait" not in events[:last]
    assert events[last:].count("wait") == 2
    assert events.count("gather_rows") > 1
    categories = infer(net, inputs, space="cuda", exits="none", verify="full").categories
    assert np.array_equal(result.rows + 1, categories)
    assert 0 < categories.size < rows


def test_checks_of_overflow_wait_when_the_active_rows_are_counted(
    device: Space, events: list[str]
) -> None:
    # Sums up to 2e38 in the last 13 layers, in which a margin for rounding is missing.
    weights = [2e38**0.25 / 8] * 4 + [1 / 8] * 12
    layers = [Layer.from_sparse(np.full((8, 8), w, "f4"), np.zeros(8, "f4")) for w in weights]
    run_fused(device, network(layers, ymax=None), Inputs.from_any(np.ones((40, 8), "f4")), events)
    assert 1 < events.count("wait") < events.count("list_active") + 3
    for number, event in enumerate(events[:-2]):
        assert event != "wait" or events[number - 1] == "list_active"
    assert events.count("list_active") < 16


@pytest.mark.parametrize(("kernel", "free"), [("fused", 690_000), ("spgemm", 1_000_000)])
@pytest.mark.parametrize("host", [0, 100_000, 10**9])
def test_layers_and_rows_that_do_not_fit_on_the_device(
    device: Space, kernel: Any, free: int, host: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layers go through a double buffer, and rows are computed in chunks. Layers that fit into host
    memory are packed once, the others on each access."""
    monkeypatch.setattr(device.xp.cuda.runtime, "memGetInfo", lambda: (0, 0))
    monkeypatch.setattr(device.xp, "get_default_memory_pool", pool_of(free))
    monkeypatch.setattr("kkspdnn.device.memory.free_memory", lambda: host)
    assert device.device_memory() == (free, 0)
    for net in (radixnet(64, 24), ragged("float32")):
        rows = np.arange(500 * net.inputs).reshape(500, net.inputs) % 7 < 2
        few = infer(
            net, rows.astype(np.float32), space="cuda", kernel=kernel, exits="dead", values=True,
            verify="full",
        )  # fmt: skip
        assert few.record.verified.passed
        assert few.record.verified.rows == 500
        if net.ymax:
            assert 0 < few.record.layers_held < 24


@pytest.mark.parametrize(("kernel", "free"), [("fused", 690_000), ("spgemm", 1_000_000)])
@pytest.mark.parametrize("exits", EXITS)
def test_launches_read_the_layer_of_the_last_access(
    device: Space, kernel: Any, free: int, exits: Exits, monkeypatch: Any
) -> None:
    """A copy may write to the other buffer at any time."""
    watched: list[DoubleBuffer] = []
    read: set[int] = set()

    class Watched(DoubleBuffer):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            watched.append(self)

    def checked(launch: Any) -> Any:
        def run(label: str, *given: Any, **arguments: Any) -> Any:
            for buffers in watched:
                for index, buffer in enumerate(buffers._buffers):
                    arrays = [each.array for each in arguments.values() if type(each) is OnDevice]
                    inside = buffer.device is not None and any(
                        np.may_share_memory(buffer.device.array, array) for array in arrays
                    )
                    assert not inside or buffer is buffers._current
                    read.update([index] if inside else [])
            return launch(label, *given, **arguments)

        return run

    for pattern in ("for", "reduce", "scan"):
        name = f"parallel_{pattern}"
        monkeypatch.setattr(device.pk, name, checked(getattr(device.pk, name)))
    monkeypatch.setattr("kkspdnn.engines.layer_store.DoubleBuffer", Watched)
    monkeypatch.setattr(Space, "device_memory", lambda _: (free, 0))
    result = infer(
        radixnet(64, 24), images(64, 500), space="cuda", kernel=kernel, exits=exits,
        verify="full",
    )  # fmt: skip
    assert result.record.verified.passed
    assert len(watched) == 1
    # With all exits no row is active before these layers.
    assert read == (set() if (kernel, exits) == ("fused", "all") else {0, 1})


def test_a_device_that_is_too_small(device: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device.xp.cuda.runtime, "memGetInfo", lambda: (0, 0))
    monkeypatch.setattr(device.xp, "get_default_memory_pool", pool_of(200_000))
    with pytest.raises(InputError, match="of memory, 0.20 MB are free"):
        infer(radixnet(64, 24), images(64, 500), space="cuda")


def test_a_budget_counts_the_arrays_on_the_device(
    device: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = Budget(10**6, device_memory=device.device_memory)
    assert budget.free() == 10**6
    monkeypatch.setattr(device.xp, "get_default_memory_pool", pool_of(0, 400_000))
    assert budget.free() == 600_000


@pytest.mark.parametrize(
    ("rows", "free", "launches", "checks"),
    [(40, 10**9, 40, 7), (1000, 10**9, 6, 7), (512, 460_000, 39, 6)],
)
def test_the_host_seldom_waits(
    device: Space, rows: int, free: int, launches: int, checks: int, monkeypatch: Any
) -> None:
    """A check makes it wait. With one layer for each launch, because there are few tiles or layers
    are not resident, checks are as rare as with several."""
    made: Counter[str] = Counter()

    def counted(launch: Any) -> Any:
        def run(label: str, *given: Any, **arguments: Any) -> Any:
            made[label] += 1
            return launch(label, *given, **arguments)

        return run

    for pattern in ("for", "scan"):
        name = f"parallel_{pattern}"
        monkeypatch.setattr(device.pk, name, counted(getattr(device.pk, name)))
    monkeypatch.setattr(Space, "device_memory", lambda _: (free, 0))
    net = network([Layer.from_sparse(np.full((64, 64), 1 / 64, "f4"), 0.0)] * 40, ymax=None)
    engine = make_engine("fused", device, net.dtype, None, "dead")
    layers = LayerStore(net, engine, net.dtype)
    inputs = Inputs.from_any(np.full((rows, 64), 0.5, np.float32))
    engine.compute_exit_bounds(layers, inputs)
    results = list(engine.run(layers, inputs, None, lambda _: None))
    assert sum(part.rows.size for part in results) == rows
    assert made["fused"] == launches * len(results)
    # Before layers 0, 2, 6 and 14, at the ends of groups, every 16 layers then, and at the end.
    assert made["list_active"] == checks * len(results)


def test_no_rows(device: Space) -> None:
    net = radixnet(64, 4)
    for kernel in ("fused", "spgemm"):
        nothing = infer(net, np.zeros((0, 64)), space="cuda", kernel=kernel, values=True)
        assert nothing.categories.size == 0
