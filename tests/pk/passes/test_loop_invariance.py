"""Loop-invariant addresses: how the address of an element splits into a base and strides."""

from __future__ import annotations

from typing import Any

import pytest
from ir_of_source import Load, lane_function, without_lines

from kkspdnn.pk import ir
from kkspdnn.pk.passes.loop_invariance import hoist_address, modified_in
from kkspdnn.pk.passes.vectorize import vectorize
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.types import BOOL, FLOAT, INT32, INT64, UINT32

ZERO, ONE, TWO = (ir.Constant(k, INT32) for k in (0, 1, 2))
V, N, K = (ir.Name(name, INT32) for name in ("v", "n", "k"))
F, Z = ir.Name("f", FLOAT), ir.VectorName("z", FLOAT)


def element(array: str, *indices: ir.Expr) -> ir.Element:
    return ir.Element(array, (*indices, V), FLOAT, local=False)


def loop_of(kernel: ir.Kernel, target: ExecutionSpace) -> Any:
    """The loop of a lane function, after vectorization."""
    (lanes,) = without_lines(vectorize(kernel, target).body)
    (loop,) = (s for s in lanes.body if isinstance(s, ir.For | ir.BatchedLoop))
    return loop.loop if isinstance(loop, ir.BatchedLoop) else loop


HOISTED = [
    ("x[0][k][v]", ir.StridedElement(element("x", ZERO, ZERO), 1, K)),
    ("x[0][n + k][v]", ir.StridedElement(element("x", ZERO, N), 1, K)),
    ("x[0][k + n][v]", ir.StridedElement(element("x", ZERO, N), 1, K)),
    ("x[k][n][v]", ir.StridedElement(element("x", ZERO, N), 0, K)),
    (
        "x[0][n + 2 * k][v]",
        ir.StridedElement(element("x", ZERO, N), 1, ir.Binary("*", TWO, K, INT32)),
    ),
    (
        "x[0][n - k][v]",
        ir.StridedElement(element("x", ZERO, ZERO), 1, ir.Binary("-", N, K, INT32)),
    ),
    ("x[0][n][v]", element("x", ZERO, N)),
    ("x[k][k][v]", element("x", K, K)),
]


@pytest.mark.parametrize(("load_of", "expected"), HOISTED)
def test_loop_invariant_addresses_are_hoisted_on_a_gpu(
    load: Load, load_of: str, expected: ir.Element | ir.StridedElement
) -> None:
    body = f"z: pk.float = x[0][1][v]\nfor k in range(n):\n    z += {load_of}"
    kernel = lane_function(load, body)
    loop = loop_of(kernel, ExecutionSpace.Cuda)
    assert loop.body == (ir.AssignVector(0, Z, "+=", ir.VectorLoad(expected, FLOAT)),)
    on_cpu = loop_of(kernel, ExecutionSpace.OpenMP).body[0].value.source
    assert isinstance(on_cpu, ir.Element)


def test_unsigned_sums_are_not_split() -> None:
    """They may wrap."""
    start, k = ir.Name("start", UINT32), ir.Name("k", UINT32)
    index = ir.Binary("+", start, k, UINT32)
    assert hoist_address(element("x", ZERO, index), frozenset({"k"})) == ir.StridedElement(
        element("x", ZERO, ZERO), 1, index
    )


def test_what_a_loop_modifies() -> None:
    e = ir.Name("e", INT64)
    inner = ir.For(
        0,
        "j",
        ZERO,
        N,
        ONE,
        False,
        (
            ir.DeclareArray(0, "c", FLOAT, (F,)),
            ir.Assign(0, ir.Element("c", (ZERO,), FLOAT, True), "=", F),
        ),
    )
    test = ir.Binary("<", e, N, BOOL)
    body = (
        ir.Declare(0, "k", INT32, N),
        ir.If(0, test, (ir.Assign(0, e, "+=", ONE),), (inner,)),
        ir.Assign(0, element("y", ZERO, K), "=", F),
    )
    assert modified_in(ir.While(0, test, body)) == {"k", "e", "j", "c", "y"}
    assert modified_in(ir.For(0, "i", ZERO, N, ONE, False, ())) == {"i"}
