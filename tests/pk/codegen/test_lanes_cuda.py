"""Vectors of lanes on a GPU: their C++ header, run on the host, and the generated C++."""

from __future__ import annotations

import ctypes
from ctypes import c_double, c_float, c_int, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
import pykokkos as pk
import pytest

from kkspdnn.engines.launch_trace import engine_launches
from kkspdnn.pk.build.runtime_library import CPP_FOLDER
from kkspdnn.pk.codegen.emit import lanes_header
from kkspdnn.pk.compiler import generate
from tests import cuda_on_host
from tests.on_host import compiled


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    source = Path(__file__).with_name("lanes_on_host.cpp")
    target = tmp_path_factory.mktemp("lanes") / "on_host.so"
    header = CPP_FOLDER / lanes_header(gpu=True)
    kokkos = Path(cuda_on_host.__file__).parent
    options = "-std=c++20", f"-I{kokkos}", f'-DHEADER="{header}"'
    loaded = compiled(source, target, *options)
    for run, number in ((loaded.run_float, c_float), (loaded.run_double, c_double)):
        run.argtypes = [c_int, c_int, c_int, c_void_p, c_void_p, number, number, c_void_p, c_int]
        run.restype = None
    return loaded


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("vector", [32, 8, 1])
@pytest.mark.parametrize("count", [0, 1, 31, 32, 127, 128, 129, 160, 161, 512])
def test_every_lane_is_computed_once(
    library: ctypes.CDLL, vector: int, count: int, wide: bool, dtype: Any
) -> None:
    """In groups of four or alone."""
    rng = np.random.default_rng(count)
    rows = 9
    x = rng.random((2, rows + 1, count), dtype)
    b = rng.integers(0, 256, x.shape).astype(np.uint8)
    expected = np.zeros(count, dtype)
    for values in x[1, 1:]:
        expected += dtype(-30) * values
    expected -= b[1, 1:].sum(axis=0, dtype=np.uint8)
    expected[expected > -200] += 1000
    y = np.full(count + 1, np.nan, dtype)
    run = library.run_float if dtype is np.float32 else library.run_double
    run(vector, count, rows, x.ctypes.data, b.ctypes.data, -30, -200, y.ctypes.data, wide)
    assert y[:count].tolist() == expected.tolist()
    assert np.isnan(y[count])


def test_loop_invariant_addresses_are_hoisted() -> None:
    launches = engine_launches("cuda", np.dtype(np.float32))
    equal = generate(*launches["fused_equal"]).text
    assert '#include "kkspdnn_lanes_cuda.hpp"\n' in equal
    assert "lanes::for_each<float>(m, lanes, lanes::aligned<float>(a), [&](auto _lanes, " in equal
    load = "_pack::load(lanes::step<1, (_pack::width > 1)>(a, lanes::at(a, tile, source, v), i));\n"
    assert f"_vector0[_j] = {load}" in equal
    assert f"z += {load}" in equal
    assert "z.store(&a(tile, int64_t(target + j), v));\n" in equal
    count = generate(*launches["count_edges"]).text
    assert f"ones += {load.replace('(a', '(x')}" in count
    ranges = generate(*launches["find_range"]).text
    assert "_pack smallest = _pack::load(&a(tile, int64_t(first + begin), v));\n" in ranges
    strided = (
        "_pack::load(lanes::step<1, (_pack::width > 1)>(a, lanes::at(a, tile, first, v), j));\n"
    )
    assert f"_pack y = {strided}" in ranges


def test_addresses_are_not_hoisted_on_a_cpu() -> None:
    workunit, _, types = engine_launches("serial", np.dtype(np.float32))["fused_equal"]
    text = generate(workunit, pk.OpenMP, types).text
    assert "z += _pack::load(&a(tile, (source + i), v));\n" in text
    assert "lanes::step" not in text
