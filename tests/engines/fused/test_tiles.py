"""Tiles: their slices, and prepared launches on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kkspdnn.device.space import open_space
from kkspdnn.engines.exit_bounds import ExitBounds
from kkspdnn.engines.fused.kernels import FusedKernels
from kkspdnn.engines.fused.layer import FusedLayer, group_layers
from kkspdnn.engines.fused.packing import pack_layer
from kkspdnn.engines.fused.tile_shape import TileShape
from kkspdnn.engines.fused.tiles import Tiles
from kkspdnn.model.layers import Layer
from kkspdnn.model.radixnet import radixnet
from kkspdnn.pk.runtime.template import LaunchTemplate

FLOAT = np.dtype(np.float32)


def packed_layer() -> FusedLayer:
    first, second = radixnet(64, 2).layers
    return pack_layer(second, pack_layer(first, None, 32.0), 32.0)


def test_the_array_has_the_tiles_with_rows() -> None:
    rows = Tiles(TileShape.of(open_space("serial"), FLOAT, 8), 1000)
    lanes = rows.shape.lanes
    for number in (1000, lanes, lanes + 1, lanes + 1, 0, 1, 1000):
        rows.rows = number
        assert rows.array.shape == (-(-number // lanes), 16, lanes)
        assert number == 0 or np.shares_memory(rows.array, rows._array)
        assert rows.array is rows.array


def test_policies_of_teams_follow_the_launch_parameters() -> None:
    space = open_space("openmp")
    for size in (2, 5, 2):
        assert space.teams(size).league_size == size
    other = replace(space, name="cuda", launch=replace(space.launch, team_size=7, vector_length=3))
    assert (other.teams(2).team_size, other.teams(2).vector_length) == (7, 3)
    assert space.teams(2).team_size == 1


def compute(layer: FusedLayer, rows: Tiles, value: float) -> Any:
    """Compute a layer for rows of one value; return the activations of the first row."""
    rows.load_constants(np.full(rows.capacity, value, np.float32), layer.inputs)
    FusedKernels(rows.shape.space, FLOAT).compute(rows, layer, 1)
    return rows.activations[0, :, 0]


@pytest.mark.parametrize("name", ["serial", "openmp"])
def test_later_launches_of_a_layer_are_prepared(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On any tiles; and they give the values of a new layer's first launch."""
    prepared: Counter[bool] = Counter()
    real = LaunchTemplate.launch

    def launch(*given: Any) -> bool:
        done = real(*given)
        prepared[done] += 1
        return done

    monkeypatch.setattr(LaunchTemplate, "launch", launch)
    layer = packed_layer()
    shape = TileShape.of(open_space(name), FLOAT, 64)
    small, large = Tiles(shape, 5), Tiles(shape, 300)
    for rows, value in ((small, 1), (small, 2), (large, 2), (large, 1), (small, 1)):
        expected = compute(packed_layer(), rows, value).copy()
        assert not prepared[False]
        assert np.array_equal(compute(layer, rows, value), expected)
        assert expected.any()
    assert prepared == {True: 4}


def test_the_layers_of_a_group_share_a_launch() -> None:
    packed: list[FusedLayer] = []
    for number, layer in enumerate(radixnet(64, 6).layers):
        biased = Layer.from_sparse(layer.weights(), np.full(64, -0.1 * (number + 1), np.float32))
        packed.append(pack_layer(biased, packed[-1] if packed else None, 32.0))
    grouped, alone = group_layers(packed[1:], 3), packed[1:]
    assert [each.group_index for each in grouped] == [0, 1, 2, 0, 1]
    assert [each.launch is grouped[0].launch for each in grouped] == [True] * 3 + [False] * 2
    rows = Tiles(TileShape.of(open_space("serial"), FLOAT, 64), 5)
    for _ in range(2):
        outputs = [compute(layer, rows, 1).copy() for layer in grouped]
        for one, other in zip(outputs, alone, strict=True):
            assert np.array_equal(one, compute(other, rows, 1))
    assert len({each.tobytes() for each in outputs}) == 5


def test_a_copy_of_a_layer_does_not_use_the_launch_of_its_group() -> None:
    layer = group_layers([packed_layer()] * 2, 2)[1]
    copied = layer.to_device(np.copy)
    assert copied.launch is not layer.launch
    assert copied.launch.arguments[2]["index"] is copied.weights["index"]


BOUNDS = ExitBounds(np.float32(1), np.float32(30))


@pytest.mark.parametrize("rows", [5, 3000])
def test_a_layer_finds_the_ranges_for_the_next_check(
    rows: int, record_labels: Callable[[Any], list[str]]
) -> None:
    """Until the rows change; the number of active rows is the same without it."""
    space, layer = open_space("serial"), packed_layer()
    shape = TileShape.of(space, FLOAT, 64)
    tiles, others = Tiles(shape, rows), Tiles(shape, rows)
    kernels, ymax = FusedKernels(space, FLOAT), np.float32(32)
    values = np.random.default_rng(1).choice([0, 0.1, 3, 32], rows).astype(np.float32)
    values[0] = 3
    tiles.load_constants(values, 64)
    kernels.compute(tiles, layer, 1)
    labels = record_labels(space.pk)
    expected = tiles.mark_active(BOUNDS, ymax)
    saturated = tiles.saturated(BOUNDS, ymax)[1].tolist()
    assert labels == ["find_range", "list_active"]
    assert 0 < expected < rows
    assert any(saturated)
    assert tiles.mark_active(BOUNDS, ymax) == expected
    assert labels.count("find_range") == 1

    tiles.load_constants(values, 64)
    kernels.compute(tiles, layer, 1, ranges=True)
    labels.clear()
    # With few tiles, a launch has more blocks of neurons than a tile has entries.
    few = kernels._blocks(tiles.count, 64, 64)[0] > tiles.max_entries
    assert tiles.mark_active(BOUNDS, ymax) == expected
    assert tiles.saturated(BOUNDS, ymax)[1].tolist() == saturated
    assert ("find_range" in labels) == few == (rows == 5)

    others.append_active(tiles, expected)
    tiles.compact(expected)
    labels.clear()
    assert tiles.mark_active(BOUNDS, ymax) == others.mark_active(BOUNDS, ymax) == expected
    assert labels.count("find_range") == 2
