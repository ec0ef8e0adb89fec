"""Vectors of lanes on a GPU: their C++ header, run on the host, and the generated C++."""

from __future__ import annotations

import ctypes
from ctypes import c_float, c_int, c_void_p
from pathlib import Path

import numpy as np
import pykokkos as pk
import pytest

from kkspdnn.engines.launch_trace import engine_launches
from kkspdnn.pk.build.runtime_library import CPP_FOLDER
from kkspdnn.pk.codegen.emit import lanes_header
from kkspdnn.pk.compiler import generate
from tests.on_host import compiled


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    source = Path(__file__).with_name("lanes_on_host.cpp")
    target = tmp_path_factory.mktemp("lanes") / "on_host.so"
    header = CPP_FOLDER / lanes_header(gpu=True)
    loaded = compiled(source, target, "-std=c++17", f'-DHEADER="{header}"')
    loaded.run.argtypes = [
        *(c_int, c_int, c_int, c_void_p, c_void_p, c_float, c_float, c_void_p),
    ]
    loaded.run.restype = None
    return loaded


@pytest.mark.parametrize("vector", [32, 8])
@pytest.mark.parametrize("count", [0, 1, 31, 127, 128, 129, 161, 512])
def test_every_lane_is_computed_once(library: ctypes.CDLL, vector: int, count: int) -> None:
    """In groups of four or alone, and with fewer than 32 threads in x."""
    rng = np.random.default_rng(count)
    rows = 9
    x = rng.random((2, rows + 1, count), np.float32)
    b = rng.integers(0, 256, x.shape).astype(np.uint8)
    expected = np.zeros(count, np.float32)
    for values in x[1, 1:]:
        expected += np.float32(-30) * values
    expected -= b[1, 1:].sum(axis=0, dtype=np.uint8)
    expected[expected > -200] += 1000
    y = np.full(count + 1, np.nan, np.float32)
    library.run(vector, count, rows, x.ctypes.data, b.ctypes.data, -30, -200, y.ctypes.data)
    assert y[:count].tolist() == expected.tolist()
    assert np.isnan(y[count])


def test_loop_invariant_addresses_are_hoisted() -> None:
    launches = engine_launches("cuda", np.dtype(np.float32))
    equal = generate(*launches["fused_equal"]).text
    assert '#include "kkspdnn_lanes_cuda.hpp"\n' in equal
    assert "lanes::for_each<float>(m, lanes, [&](auto pack, const int32_t v) {\n" in equal
    assert "z += P::load(lanes::step<1>(a, lanes::at(a, tile, source, v), i));\n" in equal
    assert "z.store(&a(tile, int64_t(target + j), v));\n" in equal
    count = generate(*launches["count_edges"]).text
    assert "ones += P::load(lanes::step<1>(x, lanes::at(x, tile, source, v), i));\n" in count
    ranges = generate(*launches["find_range"]).text
    assert "P smallest = P::load(&a(tile, int64_t(first + begin), v));\n" in ranges
    assert "P y = P::load(lanes::step<1>(a, lanes::at(a, tile, first, v), j));\n" in ranges


def test_addresses_are_not_hoisted_on_a_cpu() -> None:
    workunit, _, types = engine_launches("serial", np.dtype(np.float32))["fused_equal"]
    text = generate(workunit, pk.OpenMP, types).text
    assert "z += P::load(&a(tile, (source + i), v));\n" in text
    assert "lanes::step" not in text
