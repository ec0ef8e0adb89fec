"""Guessed launches of workunits and types of their parameters."""

from __future__ import annotations

import ast

import pytest

from bench.pykokkos_examples.guesses import guess_form, guess_types
from kkspdnn.pk.signature import Form
from kkspdnn.pk.types import DOUBLE, INT32, INT64, View


def function(text: str) -> ast.FunctionDef:
    node = ast.parse(text).body[0]
    assert isinstance(node, ast.FunctionDef)
    return node


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("def w(i, x): x[i] = 1", Form("for", 1)),
        ("def w(i, acc, x): acc += x[i]", Form("reduce", 1)),
        ("def w(i, acc, x): acc = acc + x[i]", Form("reduce", 1)),
        ("def w(i, x, y): x[i] += y[i]", Form("for", 1)),
        ("def w(i, acc, last, x):\n acc += x[i]\n if last: x[i] = acc", Form("scan", 1)),
        ("def w(i, acc, n, x):\n if n == 0: acc += x[i]", Form("reduce", 1)),
        ("def w(i, x, n):\n if n: x[i] = 1", Form("for", 1)),
        ("def w(m, x): x[m.league_rank()] = 1", Form("for", 0)),
        ("def w(m, acc, x):\n def one():\n  nonlocal acc\n  acc += m.size()", Form("reduce", 0)),
        ("def w(m: pk.TeamMember, x): pass", Form("for", 0)),
        ("def w(i: int, acc: pk.Acc[float], last: bool, x): pass", Form("scan", 1)),
        ("def w(i: int, a: pk.View1D[int], b): a += b", Form("for", 1)),
    ],
)
def test_the_form_follows_from_the_use(text: str, form: Form) -> None:
    assert guess_form(function(text)) == form


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ("x[i][j] = y[i] + n", {"x": View(DOUBLE, 2), "y": View(DOUBLE, 1), "n": DOUBLE}),
        ("x[y[i]] = n", {"x": View(DOUBLE, 1), "y": View(INT32, 1), "n": DOUBLE}),
        ("for j in range(n): x[i + y] = j", {"x": View(DOUBLE, 1), "n": INT32, "y": INT32}),
        ("row = x[i, :]", {"x": View(DOUBLE, 2)}),
        ("k: int = y[i][0]", {"y": View(INT32, 2)}),
        ("pk.atomic_fetch_add(x, [y[i], 0], n)", {"x": View(DOUBLE, 2), "y": View(INT32, 1)}),
        ("pk.parallel_for(pk.TeamThreadRange(m, n), f)", {"n": INT32}),
        ("k = x.extent(0)", {"x": View(DOUBLE, 1)}),
    ],
)
def test_types_follow_from_the_use(text: str, types: dict[str, object]) -> None:
    first, second, third = guess_types(function(f"def w(i):\n {text}"), list(types))
    assert dict(zip(types, first, strict=True)) == types
    for scalar, guess in ((INT64, second), (INT32, third)):
        for name, type_ in zip(types, guess, strict=True):
            likeliest = types[name]
            rank = likeliest.rank if isinstance(likeliest, View) else 0
            assert type_ == (View(scalar, rank) if rank else scalar)
