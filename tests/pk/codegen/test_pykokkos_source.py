"""PyKokkos source of whole workunits. Run in Python, it computes what the built-in compiler does.

All sums of the engines' workunits are exact, and their results are equal.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kernels
import numpy as np
import pytest
from engine_arguments import LAUNCHES, engine_launch, engine_sources, specializations
from ir_of_source import Load, source_of
from pykokkos_emulator import assert_same

from kkspdnn.pk.codegen.pykokkos_source import PyKokkosSource
from kkspdnn.pk.compiler import generate_pykokkos
from kkspdnn.pk.dispatch import infer_types
from kkspdnn.pk.frontend.workunit import Workunit
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.types import DOUBLE, FLOAT, View

CPU, GPU = ExecutionSpace.Serial, ExecutionSpace.Cuda


# ---- the engines --------------------------------------------------------------------------------


def assert_engines_launch_same(space: str, dtype: str, name: str, lanes: int) -> None:
    for each in specializations(space, dtype)[name]:
        launch = engine_launch(each, lanes)
        assert_same(each, launch.items, launch.arguments)


# 107 = 64 + 2 * 16 + 11 lanes of float32, 3 * 32 + 8 + 3 of float64, 64 + 32 + 11 of bytes.
MORE_LANES = [pytest.param(n, marks=pytest.mark.slow) for n in (1, 3, 16, 17, 64, 80, 128)]


@pytest.mark.parametrize("lanes", [107, *MORE_LANES])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LAUNCHES)
def test_workunits_of_the_engines(name: str, dtype: str, lanes: int) -> None:
    assert_engines_launch_same("openmp", dtype, name, lanes)


@pytest.mark.parametrize("lanes", [16, 17])
@pytest.mark.parametrize("name", LAUNCHES)
def test_workunits_of_the_engines_on_a_gpu(name: str, lanes: int) -> None:
    assert_engines_launch_same("cuda", "float32", name, lanes)


def test_every_workunit_is_launched() -> None:
    launched = [specializations(space, "float32") for space in ("openmp", "cuda")]
    assert all(any(each[name] for each in launched) for name in LAUNCHES)


# ---- the language -------------------------------------------------------------------------------

INTS = np.arange(-3, 21, dtype=np.int32)
REALS = np.linspace(0.25, 6, 24)
BYTES = (np.arange(2 * 3 * 107) * 37 % 256).astype(np.uint8).reshape(2, 3, 107)
DTYPES = "int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64".split()


def every_view() -> dict[str, Any]:
    given: dict[str, Any] = {}
    for letter, dtype in zip("abcdefghrs", DTYPES, strict=True):
        info = np.finfo(dtype) if dtype.startswith("float") else np.iinfo(dtype)
        given[letter] = np.array([info.min, info.max, 0, 1, 77], dtype)
        given[f"out_{letter}"] = np.zeros((3, 5, 4) if letter in "rs" else (3, 5), dtype)
    return given


def atomics() -> dict[str, Any]:
    return {
        "key": np.array([3, 0, 3, 6], np.int32), "whole": np.full((4, 7), 2, np.int64),
        "small": np.array([2**32 - 1, 0, 0], np.uint32), "real": np.zeros(7),
        "slot": np.zeros(4, np.int32), "used": np.zeros(1, np.int32),
    }  # fmt: skip


def lanes_of(dtype: Any) -> dict[str, Any]:
    x = np.random.default_rng(3).integers(-4, 5, (2, 3, 107)).astype(dtype)
    bias = np.array([-1, 2, 0, 3, 1], dtype)
    limits = {"zero": dtype(0), "top": dtype(6)}
    return {"x": x, "y": np.full((2, 5, 107), np.nan, dtype), "bias": bias, **limits}


CONSTRUCTS: dict[str, tuple[Workunit, int, dict[str, Any]]] = {
    "control flow": (
        kernels.control_flow, 24, {"n": INTS, "out": np.full((24, 9), -7, np.int64)},
    ),
    "functions": (kernels.functions, 24, {"x": REALS - 2, "out": np.zeros(24)}),
    "operators": (
        kernels.operators,
        24,
        {
            "a": INTS * 1000 - 7, "b": np.where(INTS == 0, 5, -INTS).astype(np.int32),
            "u": np.arange(24, dtype=np.uint64) << np.uint64(59), "x": REALS - 3.1, "y": REALS,
            "whole": np.zeros((26, 24), np.int64), "real": np.zeros((9, 24)),
            "shifted": np.zeros(24, np.uint64),
        },
    ),
    "mathematics": (
        kernels.mathematics, 24, {"x": REALS, "y": REALS[::-1] - 3, "out": np.zeros((10, 24))},
    ),
    "every view": (kernels.every_view, 5, every_view()),
    "every number": (
        kernels.every_number,
        1,
        {
            "a": -128, "b": -2**15, "c": -2**31, "d": -2**63, "e": 255, "f": 2**16 - 1,
            "g": 2**32 - 1, "h": 2**64 - 1, "r": np.float32(0.1), "s": 0.1, "n": -5, "x": 3,
            "flag": True, "wide": np.zeros(9, np.int64), "last": np.zeros(1, np.uint64),
            "real": np.zeros(3),
        },
    ),
    "extents": (
        kernels.extents, 1, {"a": np.zeros((2, 3, 4), np.float32), "out": np.zeros(3, np.int64)},
    ),
    "generic": (
        kernels.generic,
        5,
        {"x": np.arange(5, dtype=np.float32), "y": np.zeros(5), "scale": np.float32(0.5)},
    ),
    "names": (
        kernels.names_of_cpp_neighbours,
        2,
        {
            "x": np.zeros(2, np.int32), "j_end": 1, "x_0": 10, "policy_begin": 100, "p": 1000,
            "functor": 10000,
        },
    ),
    "reduction": (kernels.dot, 24, {"x": REALS, "y": REALS}),
    "reduction past 32 bits": (kernels.count_long, 9, {"step": 2**40}),
    "reduction with return": (kernels.count_short, 10, {}),
    "reduction of float32": (kernels.sum_float, 24, {"x": REALS.astype(np.float32)}),
    "scan": (
        kernels.running_sum,
        7,
        {"x": np.arange(7) - 2, "before": np.zeros(7, np.int64), "after": np.zeros(7, np.int64)},
    ),
    "nested ranges": (
        kernels.two_deep,
        2,
        {
            "x": lanes_of(np.float64)["x"], "y": np.full((2, 3, 107), np.nan), "rows": 3,
            "lanes": 107,
        },
    ),
    "lanes of float": (kernels.lanes_of, 2, lanes_of(np.float32)),
    "lanes of double": (kernels.lanes_of, 2, lanes_of(np.float64)),
    "many lanes": (
        kernels.many_lanes_of,
        2,
        {
            "x": lanes_of(np.float32)["x"], "y": np.full((2, 2, 107), np.nan, np.float32),
            "counts": BYTES[:, 0].copy(),
            "factor": np.float32(0.5),
        },
    ),
    "lanes of bytes": (
        kernels.lanes_of_bytes,
        2,
        {
            "x": BYTES, "y": np.full((2, 2, 107), 99, np.uint8),
            "z": np.full((2, 1, 107), 99, np.uint8), "limit": 300,
        },
    ),
    "team sums": (
        kernels.team_sums,
        3,
        {
            "x": np.arange(15.0).reshape(3, 5), "out": np.zeros((3, 6)),
            "counts": np.zeros(3, np.int64),
        },
    ),
    "team reduction": (kernels.team_reduction, 3, {"x": np.arange(15.0).reshape(3, 5)}),
    "atomics": (kernels.atomics, 4, atomics()),
}  # fmt: skip


@pytest.mark.parametrize("target", [CPU, GPU], ids=lambda s: s.value)
@pytest.mark.parametrize("name", CONSTRUCTS)
def test_constructs(name: str, target: ExecutionSpace) -> None:
    workunit, items, given = CONSTRUCTS[name]
    rtol = 1e-14 if workunit in (kernels.mathematics, kernels.functions) else 0
    assert_same((workunit, target, infer_types(workunit, given)), items, given, rtol)


# ---- names and text -----------------------------------------------------------------------------


def printed(workunit: Workunit, *types: Any, target: ExecutionSpace = CPU) -> PyKokkosSource:
    return generate_pykokkos(workunit, target, types)


def test_equal_launches_have_one_name() -> None:
    view = View(FLOAT, 1)
    first = printed(kernels.generic, view, view, FLOAT)
    assert printed(kernels.generic, view, view, FLOAT) == first
    assert re.fullmatch("generic_[0-9a-f]{16}", first.function)
    assert first.text.count(first.function) == 1
    assert f"\ndef {first.function}(i: int, x: pk.View1D[pk.float]," in first.text


def test_other_types_and_spaces_have_another_name(load: Load) -> None:
    view, doubles = View(FLOAT, 1), View(DOUBLE, 1)
    sources = [
        printed(kernels.generic, view, view, FLOAT),
        printed(kernels.generic, view, doubles, FLOAT),
        printed(kernels.generic, doubles, doubles, DOUBLE),
        printed(kernels.two_deep),
        printed(kernels.two_deep, target=GPU),
    ]
    for number in (1, 2):
        sources.append(printed(load(source_of(f"k: int = {number}", "i: int")).w))
    assert len({each.function for each in sources}) == len(sources)


def test_the_text_does_not_depend_on_the_folder(load: Load, tmp_path: Path) -> None:
    text = source_of("x[i] = i", "i: int, x: pk.View1D[pk.int32]")
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    first, second = (printed(load(text, f"{folder}/own.py").w) for folder in ("a", "b"))
    assert first == second
    assert first.text.startswith('"""w for Serial, from line 6 of own.py."""\n')
    for dtype in ("float32", "float64"):
        for each in engine_sources("openmp", dtype):
            assert not re.search(r"""["'\s]/\w""", each.text)


def test_a_parameter_may_have_the_name_of_a_workunit_before_its_digest(load: Load) -> None:
    module = load(source_of("x_workunit[i] = i", "i: int, x_workunit: pk.View1D[pk.int32]"))
    x = np.full(3, 9, np.int32)
    assert_same((module.w, CPU, ()), 3, {"x_workunit": x})


def test_views_have_the_layout_of_their_arrays() -> None:
    """On a GPU PyKokkos's default is another one."""
    info = "pk.ViewTypeInfo(layout=pk.Layout.LayoutRight, trait=pk.Trait.Unmanaged)"
    for target in (CPU, GPU):
        assert f"\n@pk.workunit(x={info}, y={info})\n" in printed(kernels.dot, target=target).text


def test_written_views() -> None:
    assert printed(kernels.running_sum).written == {"before", "after"}
