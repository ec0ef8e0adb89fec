"""Workunits and types from the text of a command line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kkspdnn.errors import InputError
from kkspdnn.pk.locate import load_workunit, order_types, parse_types
from kkspdnn.pk.types import BOOL, DOUBLE, FLOAT, INT32, UINT16, View

TEXT = """\
import pykokkos as pk
import beside

@pk.workunit
def scale(i: int, x, factor, n: int):
    x[i] = x[i] * factor

@pk.workunit
def count(i: int, x: pk.View1D[pk.int32]):
    x[i] = i
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "beside.py").write_text("")
    path = tmp_path / "own_kernels.py"
    path.write_text(TEXT)
    return path


def test_by_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(sys.path)
    assert load_workunit(f"{file}:scale").__name__ == "scale"
    monkeypatch.chdir(file.parent)
    assert load_workunit("own_kernels.py:count").generic == ()
    assert sys.path == before


def test_by_module(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    assert load_workunit("own_kernels:scale").generic == ("x", "factor")
    del sys.modules["own_kernels"]
    assert load_workunit("workunits.fused:fused_fan_in").__name__ == "fused_fan_in"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("{file}:nope", "no workunit 'nope'; choose one of scale, count"),
        ("{file}:cuont", "no workunit 'cuont' (did you mean count?); choose one of scale, count"),
        ("{file}:pk", "no workunit 'pk'; choose one of scale, count"),
        ("{file}:", "no workunit ''; choose one of"),
        ("{file}x.py:scale", "there is no such file"),
        ("no_such_module:scale", "import failed: ModuleNotFoundError: No module named"),
        (":scale", "import failed: ValueError"),
        ("..up:scale", "import failed: TypeError"),
        ("math:sin", "no workunit 'sin'; it has none"),
    ],
)
def test_missing_workunits(file: Path, name: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        load_workunit(name.format(file=file))
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["x = (\n", "import sys\nsys.exit(3)\n", "raise Exception('a\\nb')"]
)
def test_a_file_that_cannot_be_imported(tmp_path: Path, text: str) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text(text)
    with pytest.raises(InputError, match=r"broken\.py: import failed: \w+: ") as caught:
        load_workunit(f"{broken}:w")
    assert "\n" not in str(caught.value)


def test_types() -> None:
    assert parse_types("") == {}
    assert parse_types("x=float32[3], index=uint16[2],zero=float64,n=int32,flag=bool") == {
        "x": View(FLOAT, 3),
        "index": View(UINT16, 2),
        "zero": DOUBLE,
        "n": INT32,
        "flag": BOOL,
    }


@pytest.mark.parametrize(
    "item",
    ["x", "x=", "=int32", "x=float", "x=float33", "x=float32[4]", "x=float32[0]", "x=float32[]"]
    + ["x=float32[1]]", "x:float32", "x=bool[1]"],
)
def test_invalid_types(item: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_types(f"n=int32,{item}")
    assert f"types: {item!r}: write NAME=TYPE" in str(caught.value)


def test_types_in_the_order_of_the_parameters(file: Path) -> None:
    scale, count = load_workunit(f"{file}:scale"), load_workunit(f"{file}:count")
    assert order_types(scale, {"factor": FLOAT, "x": View(FLOAT, 1)}) == (View(FLOAT, 1), FLOAT)
    assert order_types(count, {}) == ()
    with pytest.raises(InputError, match=r"scale: the types of x depend on .*float32\[1"):
        order_types(scale, {"factor": FLOAT})
    with pytest.raises(InputError, match="no parameter `n` without annotation; choose from x, fac"):
        order_types(scale, {"n": INT32})
    with pytest.raises(InputError, match="no parameter `x` without annotation; it has none"):
        order_types(count, {"x": View(INT32, 1)})
