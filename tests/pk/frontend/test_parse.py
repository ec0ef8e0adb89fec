"""Parsing: from a decorated function to its syntax tree."""

from __future__ import annotations

import ast
import linecache
from typing import Any

import pykokkos as pk
import pytest
from ir_of_source import Load, source_of

from kkspdnn.errors import KkspdnnError
from kkspdnn.pk.frontend.diagnostics import WorkunitError
from kkspdnn.pk.frontend.parse import parse


def test_the_syntax_tree(load: Load) -> None:
    """Of the function alone, with the parameters that have no annotation."""
    module = load(source_of("pass", "i: int, a, n: int, b"))
    parsed = parse(module.w)
    assert (parsed.name, parsed.file.path) == ("w", module.__file__)
    assert ast.unparse(parsed.node) == "@pk.workunit\ndef w(i: int, a, n: int, b):\n    pass"
    assert module.w.generic == ("a", "b")
    assert parsed.names is vars(module)


def test_a_file_without_pk(load: Load) -> None:
    text = "from pykokkos import workunit\n\n\n@workunit\ndef w(i: int{}):\n    pass\n"
    assert parse(load(text.format("")).w).names["workunit"] is pk.workunit
    module = load("from __future__ import annotations\n" + text.format(", x: pk.View1D[pk.double]"))
    with pytest.raises(WorkunitError, match=r":6: `pk` is not PyKokkos here") as caught:
        parse(module.w)
    hint = "write `import pykokkos as pk` or `from kkspdnn import pk` at the top of the file"
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("before", "parameters", "body", "expected"),
    [
        ("import pykokkos as p", "x: p.View1D[p.int32]", "x[i] = 1", "x: pk.View1D[pk.int32]"),
        ("from pykokkos import *", "x: View1D[float32]", "x[i] = 1", "x: pk.View1D[pk.float]"),
        ("from pykokkos import *", "x: View1D[float]", "x[i] = 1", "x: pk.View1D[float]"),
        ("V = pk.View2D[int]", "x: V", "x[i][i] = 1", "x: pk.View2D[int]"),
        ("import kkspdnn", "x: kkspdnn.pk.float", "y: int = x", "x: pk.float"),
        # Of a local, only the annotation can mean PyKokkos.
        ("from pykokkos import array", "array: pk.View1D[pk.int32]", "array[i] = 1", None),
        ("from pykokkos import single", "x: int", "single: int = x", None),
        ("N = 3", "x: N", "y: int = N", None),
        ("V = list[int]", "x: V", "y: int = 1", None),
    ],
)
def test_names_of_pykokkos(
    before: str, parameters: str, body: str, expected: str | None, load: Load
) -> None:
    """In the tree PyKokkos is called `pk`, whatever the file calls it."""
    text = (
        f"import pykokkos as pk\n{before}\n@pk.workunit\ndef w(i: int, {parameters}):\n    {body}\n"
    )
    node = parse(load(text).w).node
    assert ast.unparse(node).splitlines()[1:] == [
        f"def w(i: int, {expected or parameters}):",
        f"    {body}",
    ]
    located = [each for each in ast.walk(node) if isinstance(each, ast.expr)]
    assert all(3 <= each.lineno <= 5 for each in located)


def test_a_file_that_has_changed(load: Load) -> None:
    module = load(source_of("pass", "i: int"))
    load("\n\n\n" + source_of("pass", "i: int"))
    with pytest.raises(KkspdnnError, match=r"has changed since it was imported; restart Python"):
        parse(module.w)
    assert module.__file__ is not None
    with open(module.__file__, "w", encoding="utf-8") as file:
        file.write("def w(:\n")
    with pytest.raises(KkspdnnError, match=r"has changed since it was imported; restart Python"):
        parse(module.w)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (
            "<string>",
            r"workunit w: no source: <string> is code of exec, .*; define workunits in a ",
        ),
        ("<stdin>", r"workunit w: the prompt of Python before 3\.13 keeps no source; use IPython"),
        ("<timed exec>", r"workunit w: no source: <timed exec> is code of exec, or of a magic "),
    ],
)
def test_a_workunit_without_a_file(file: str, message: str) -> None:
    """Nor a running IPython, whose history has the text of a timed cell."""
    space: dict[str, Any] = {"pk": pk}
    exec(compile("@pk.workunit\ndef w(i: int):\n    pass\n", file, "exec"), space)
    with pytest.raises(KkspdnnError, match=message) as caught:
        parse(space["w"])
    assert "define workunits in a .py file or in a notebook" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_code_of_exec_with_its_source() -> None:
    """`linecache` has the source of the prompt of Python 3.13, and of others that put it there."""
    text = "@pk.workunit\ndef w(i: int):\n    pass\n"
    space: dict[str, Any] = {"pk": pk}
    linecache.cache["<python-input-3>"] = len(text), None, text.splitlines(keepends=True), "<p>"
    try:
        exec(compile(text, "<python-input-3>", "exec"), space)
        assert parse(space["w"]).file.path == "<python-input-3>"
    finally:
        del linecache.cache["<python-input-3>"]
