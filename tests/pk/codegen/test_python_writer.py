"""Indented lines of Python, and new names."""

from __future__ import annotations

from kkspdnn.pk.codegen.python_writer import PythonWriter


def test_blocks_are_indented_and_never_empty() -> None:
    out = PythonWriter()
    out.put("first")
    with out.block("if a:"):
        with out.block("while b:"):
            pass
        out.put("inner")
    out.put()
    assert out.text() == "first\nif a:\n    while b:\n        pass\n    inner\n\n"


def test_new_names_are_different() -> None:
    """Words that end in digits or begin with an underscore too, as names made from names."""
    out = PythonWriter()
    words = ["row", "row1", "row_1", "_row", "row1_"] * 200
    names = [out.name(word) for word in words]
    assert len(set(names)) == len(names)
    assert all(name.startswith("_") and name.isidentifier() for name in names)
