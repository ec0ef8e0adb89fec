"""Parsing: from a decorated function to its syntax tree."""

from __future__ import annotations

import ast
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


def test_a_file_without_the_import(load: Load) -> None:
    module = load("from pykokkos import workunit\n\n\n@workunit\ndef w(i: int):\n    pass\n")
    with pytest.raises(WorkunitError) as caught:
        parse(module.w)
    assert "the file does not import PyKokkos" in str(caught.value)
    assert str(caught.value).endswith("write `import pykokkos as pk` at the top of the file")


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


def test_a_workunit_without_a_file() -> None:
    space: dict[str, Any] = {"pk": pk}
    exec("@pk.workunit\ndef w(i: int):\n    pass\n", space)
    with pytest.raises(KkspdnnError, match=r"workunit w: .* define workunits in a \.py file"):
        parse(space["w"])
