"""Workunits and types by name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kkspdnn.errors import InputError
from kkspdnn.pk.locate import complete, locate, read_types
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
    made = tmp_path / "own_kernels.py"
    made.write_text(TEXT)
    return made


def test_by_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(sys.path)
    assert locate(f"{file}:scale").__name__ == "scale"
    monkeypatch.chdir(file.parent)
    assert locate("own_kernels.py:count").generic == ()
    assert sys.path == before


def test_by_module(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    assert locate("own_kernels:scale").generic == ("x", "factor")
    del sys.modules["own_kernels"]
    assert locate("workunits.fused:fused_fan_in").__name__ == "fused_fan_in"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("{file}:nope", "no workunit 'nope'; choose one of scale, count"),
        ("{file}:pk", "no workunit 'pk'; choose one of scale, count"),
        ("{file}:", "no workunit ''; choose one of"),
        ("{file}x.py:scale", "there is no such file"),
        ("no_such_module:scale", "importing it failed: ModuleNotFoundError: No module named"),
        (":scale", "importing it failed: ValueError"),
        ("..up:scale", "importing it failed: TypeError"),
        ("math:sin", "no workunit 'sin'; it has none"),
    ],
)
def test_what_is_not_there(file: Path, name: str, why: str) -> None:
    with pytest.raises(InputError) as caught:
        locate(name.format(file=file))
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["x = (\n", "import sys\nsys.exit(3)\n", "raise Exception('a\\nb')"]
)
def test_a_file_that_cannot_be_imported(tmp_path: Path, text: str) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text(text)
    with pytest.raises(InputError, match=r"broken\.py: importing it failed: \w+: ") as caught:
        locate(f"{broken}:w")
    assert "\n" not in str(caught.value)


def test_types() -> None:
    assert read_types("") == {}
    assert read_types("x=float32[3], index=uint16[2],zero=float64,n=int32,flag=bool") == {
        "x": View(FLOAT, 3),
        "index": View(UINT16, 2),
        "zero": DOUBLE,
        "n": INT32,
        "flag": BOOL,
    }


@pytest.mark.parametrize(
    "part",
    ["x", "x=", "=int32", "x=float", "x=float33", "x=float32[4]", "x=float32[0]", "x=float32[]"]
    + ["x=float32[1]]", "x:float32", "x=bool[1]"],
)
def test_types_that_are_none(part: str) -> None:
    with pytest.raises(InputError) as caught:
        read_types(f"n=int32,{part}")
    assert f"--types: {part!r}: write NAME=TYPE" in str(caught.value)


def test_complete(file: Path) -> None:
    scale, count = locate(f"{file}:scale"), locate(f"{file}:count")
    assert complete(scale, {"factor": FLOAT, "x": View(FLOAT, 1)}) == (View(FLOAT, 1), FLOAT)
    assert complete(count, {}) == ()
    with pytest.raises(InputError, match=r"scale: the launch decides the types of x; .*float32\[1"):
        complete(scale, {"factor": FLOAT})
    with pytest.raises(InputError, match="no parameter `n` without annotation; those are x, fac"):
        complete(scale, {"n": INT32})
    with pytest.raises(InputError, match="no parameter `x` without annotation; it has none"):
        complete(count, {"x": View(INT32, 1)})
