"""Hints of compile errors name only what exists."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator
from pathlib import Path

import pykokkos as pk
import pytest

import kkspdnn.pk.frontend
from kkspdnn.pk.frontend.intrinsics import FACTORS, MATH

FILES = sorted(Path(kkspdnn.pk.frontend.__path__[0]).glob("*.py"))
PLACEHOLDERS = {"NAME", "parallel_"}


def strings(path: Path) -> Iterator[str]:
    """The string literals of a file, and the literal parts of f-strings, without docstrings."""
    tree = ast.parse(path.read_text("utf-8"))
    documentation = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in documentation:
                yield node.value


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_names_in_hints_exist(path: Path) -> None:
    for text in strings(path):
        for name in set(re.findall(r"(?<![.\w])pk\.(\w+)", text)) - PLACEHOLDERS:
            assert hasattr(pk, name), text
        for name in set(re.findall(r"\bmath\.(\w+)", text)):
            assert hasattr(math, name) or name in {*MATH, *FACTORS}, text


def test_hints_are_found() -> None:
    found = [text for path in FILES for text in strings(path)]
    assert any("pk.TeamMember" in text for text in found)
    assert any("math.fmin" in text for text in found)
