"""Batching of loads on a GPU: which loops are batched, and what a batch loads."""

from __future__ import annotations

from typing import Any

import pytest
from ir_of_source import Load, lane_function, without_lines

from kkspdnn.pk import ir
from kkspdnn.pk.passes.batch_loads import BATCH
from kkspdnn.pk.passes.vectorize import vectorize
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.types import FLOAT, INT32

V, N, K, J = (ir.Name(name, INT32) for name in ("v", "n", "k", "_j"))
ZERO = ir.Constant(0, INT32)

SUM = """
z: pk.float = 0.0
for k in range(n):
    {body}
y[0][0][v] = z
"""


def loop_of(load: Load, body: str, target: ExecutionSpace = ExecutionSpace.Cuda) -> Any:
    """The loop of a lane function with this body, after vectorization."""
    (lanes,) = without_lines(vectorize(lane_function(load, SUM.format(body=body)), target).body)
    (loop,) = (s for s in lanes.body if isinstance(s, ir.For | ir.BatchedLoop))
    return loop


def element(array: str, *indices: ir.Expr, type: Any = INT32, local: bool = False) -> ir.Element:
    return ir.Element(array, indices, type, local)


GATHER = "i: int = index[k]\n    z += x[0][i][v]"


def test_a_batch_loads_its_indices_as_a_row_and_then_its_vectors(load: Load) -> None:
    loop = loop_of(load, GATHER)
    assert (loop.width, loop.number) == (BATCH, "_j")
    assert loop.rows == (ir.LoadRow(0, "_row0", element("index", K), BATCH),)
    assert loop.ahead == loop.rows
    assert loop.inner_rows == ()
    assert loop.vectors == (("_vector0", FLOAT),)
    i = ir.Name("i", INT32)
    base = ir.Element("x", (ZERO, ZERO, V), FLOAT, False)
    vector = ir.VectorElement("_vector0", J, FLOAT)
    assert loop.loads == (
        ir.Declare(0, "i", INT32, element("_row0", J, local=True)),
        ir.AssignVector(0, vector, "=", ir.VectorLoad(ir.StridedElement(base, 1, i), FLOAT)),
    )
    assert loop.body == (ir.AssignVector(0, ir.VectorName("z", FLOAT), "+=", vector),)
    assert isinstance(loop.loop, ir.For)
    assert len(loop.loop.body) == 2


def test_only_rows_that_addresses_depend_on_are_loaded_ahead(load: Load) -> None:
    loop = loop_of(load, "i: int = index[k]\n    w: pk.float = d[0][0][k]\n    z += w * x[0][i][v]")
    assert [row.first.array for row in loop.rows] == ["index", "d"]
    assert [row.first.array for row in loop.ahead] == ["index"]


def test_other_uses_of_the_variable_have_the_number_of_the_iteration(load: Load) -> None:
    loop = loop_of(load, "z += x[0][k][v]")
    assert loop.rows == ()
    (loaded,) = loop.loads
    assert loaded.value.source.count == ir.Binary("+", K, J, INT32)


@pytest.mark.parametrize(
    ("index", "row"),
    [
        ("index[k]", True),
        ("index[n + k]", True),
        ("index[k + n]", True),
        ("index[n + n + k]", True),
        ("index[k + k]", False),
        ("index[2 * k]", False),
        ("index[n - k]", False),
        ("index[n]", False),
        ("index[index[k]]", True),
    ],
)
def test_rows_have_consecutive_elements(load: Load, index: str, row: bool) -> None:
    loop = loop_of(load, f"i: int = {index}\n    z += x[0][i + k][v]")
    assert bool(loop.rows) == row
    if row:
        assert loop.rows[0].first.array == "index"


def test_elements_of_a_row_with_constant_indices_are_loaded_together(load: Load) -> None:
    """d is a view of doubles: two of them are 16 bytes."""
    body = "i: int = index[k]\n    c: pk.float = d[0][k][0]\n    c2: pk.float = d[0][k][1]\n"
    loop = loop_of(load, f"{body}    z += c * x[0][i][v]\n    z += c2 * x[0][i][v]")
    (row,) = loop.inner_rows
    assert (row.first.array, row.count) == ("d", 2)
    assert row.first.indices[1] == ir.Binary("+", K, J, INT32)
    only_second = loop_of(load, f"{body}    z += c2 * x[0][i][v]")
    assert only_second.inner_rows == ()


@pytest.mark.parametrize(
    "body",
    [
        "z += f",
        "z += x[0][n][v]",
        "z += x[0][k][v]\n    y[0][k][v] = z",
        "if n > 1:\n        z += x[0][k][v]",
        "c: int = k\n    c += 1\n    z += x[0][c][v]",
        "for h in range(n):\n        z += f",
    ],
)
def test_loops_that_are_not_batched(load: Load, body: str) -> None:
    assert isinstance(loop_of(load, body), ir.For)


@pytest.mark.parametrize("bounds", ["n, 0, -1", "0, n, 2"])
def test_only_loops_over_consecutive_numbers_are_batched(load: Load, bounds: str) -> None:
    text = SUM.format(body="z += x[0][k][v]").replace("range(n)", f"range({bounds})")
    (lanes,) = vectorize(lane_function(load, text), ExecutionSpace.Cuda).body
    assert not any(isinstance(s, ir.BatchedLoop) for s in lanes.body)  # type: ignore[union-attr]


def test_no_loop_is_batched_on_a_cpu(load: Load) -> None:
    assert isinstance(loop_of(load, GATHER, ExecutionSpace.OpenMP), ir.For)
