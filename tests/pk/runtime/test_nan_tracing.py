"""In debug mode a warning names the launch that wrote the first NaN into an array."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import debug_kernels
import numpy as np
import pykokkos as pk
import pytest

from kkspdnn.pk.runtime import nan_tracing

START = f"{debug_kernels.__file__}: logarithm, launch 'a label': "


@pytest.fixture(params=[pk.Serial, pk.OpenMP], ids=lambda s: s.value)
def launch(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture, debug_mode_on: None
) -> Callable[..., list[str]]:
    """A function that launches y[i // 2][i % 2] = x[i] * factor - x[i] * factor, and returns the
    warnings."""

    def launch(x: Any, y: np.ndarray, factor: float = 1.0) -> list[str]:
        caplog.clear()
        policy = pk.RangePolicy(request.param, 0, len(x))
        with caplog.at_level(logging.WARNING, "kkspdnn"):
            given = {"x": np.array(x, float), "y": y, "factor": factor}
            pk.parallel_for("a label", policy, debug_kernels.logarithm, **given)
        assert all(each.name == "kkspdnn" for each in caplog.records)
        return caplog.messages

    return launch


def ones() -> np.ndarray:
    return np.ones((3, 2), np.float32)


def test_no_nan(launch: Callable[..., list[str]]) -> None:
    y = ones()
    assert launch(range(6), y) == []
    assert not y.any()


def test_a_new_nan(launch: Callable[..., list[str]]) -> None:
    """Infinity minus infinity."""
    end = "after the launch, the first at [1, 1]; no argument had NaN before"
    assert launch([1, 2, 3, np.inf, 4, 5], ones()) == [f"{START}y has 1 NaN {end}"]
    assert launch([1, 2, 3, np.inf, np.inf, 5], ones()) == [f"{START}y has 2 NaNs {end}"]


def test_an_argument_had_a_nan(launch: Callable[..., list[str]]) -> None:
    end = "after the launch, the first at"
    (message,) = launch([1, 2, np.nan, 3, 4, np.nan], ones())
    assert message == f"{START}y has 2 NaNs {end} [1, 0]; before it, x had NaN"
    (message,) = launch([np.nan, 2], ones(), np.nan)
    assert message == f"{START}y has 2 NaNs {end} [0, 0]; before it, x, factor had NaN"


def test_an_array_with_a_nan_is_not_reported_again(launch: Callable[..., list[str]]) -> None:
    y = ones()
    assert len(launch([np.nan, 2], y)) == 1
    assert launch([np.nan, np.inf], y) == []
    assert np.isnan(y).tolist() == [[True, True], [False, False], [False, False]]
    assert launch([1, 2], y) == []
    assert len(launch([np.nan, 2], y)) == 1


def test_an_empty_array(launch: Callable[..., list[str]]) -> None:
    assert launch([], np.ones((0, 2), np.float32)) == []


@pytest.mark.parametrize("value", ["x", None])
def test_a_number_of_another_class_is_refused(launch: Callable[..., list[str]], value: Any) -> None:
    launch([1], ones())
    with pytest.raises(TypeError, match="logarithm: argument `factor` must be a number"):
        launch([1], ones(), value)


def test_an_array_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """CuPy makes it from the address, without a copy."""
    made = SimpleNamespace(
        cuda=SimpleNamespace(
            UnownedMemory=lambda *given: ("memory", *given),
            MemoryPointer=lambda memory, offset: ("pointer", memory, offset),
        ),
        ndarray=lambda *given: given,
    )
    monkeypatch.setattr(nan_tracing, "import_module", {"cupy": made}.__getitem__)
    array = nan_tracing._array(4096, [3, 5], np.dtype(np.float32), 2)
    memory = ("memory", 4096, 60, None, 2)
    assert array == ((3, 5), np.dtype(np.float32), ("pointer", memory, 0))
