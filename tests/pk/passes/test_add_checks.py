"""The checks of debug mode: which nodes of the IR they replace, and what they leave as it is."""

from __future__ import annotations

from typing import Any

import kernels
import numpy as np
import pykokkos as pk
import pytest

from kkspdnn.engines.launch_trace import engine_launches
from kkspdnn.pk import ir
from kkspdnn.pk.compiler import generate
from kkspdnn.pk.frontend.analyse import analyse
from kkspdnn.pk.frontend.parse import parse
from kkspdnn.pk.frontend.workunit import Workunit
from kkspdnn.pk.passes.add_checks import add_checks
from kkspdnn.pk.passes.walk import nodes

ENGINES = engine_launches("openmp", np.dtype(np.float32))
OWN = [name for name, each in vars(kernels).items() if isinstance(each, Workunit)]
WITHOUT_TYPES = [name for name in OWN if not getattr(kernels, name).generic]


def checked(workunit: Workunit, types: Any = ()) -> tuple[ir.Kernel, ir.Kernel]:
    kernel = analyse(parse(workunit), types)
    return kernel, add_checks(kernel)


def kernel_named(name: str) -> tuple[ir.Kernel, ir.Kernel]:
    if name in ENGINES:
        workunit, _, types = ENGINES[name]
        return checked(workunit, types)
    return checked(getattr(kernels, name))


def count(kernel: ir.Kernel, *types: type) -> int:
    every = (kernel.functions, kernel.body)
    return sum(isinstance(node, types) for node in nodes(every))


@pytest.mark.parametrize("name", [*ENGINES, *WITHOUT_TYPES])
def test_every_access_and_division_is_checked(name: str) -> None:
    """Each element is in the node that checks it, and nothing else changes its number."""
    before, after = kernel_named(name)
    elements = count(before, ir.Element)
    assert count(after, ir.Element) == count(after, ir.CheckedElement) == elements
    divisions = [
        node
        for node in nodes((before.functions, before.body))
        if isinstance(node, ir.Binary | ir.Assign)
        and node.op in ("/", "%", "/=", "%=")
        and (node.type if isinstance(node, ir.Binary) else node.target.type).is_int
    ]
    assert count(after, ir.CheckedDivision) == len(divisions)
    assert (after.written, after.signature) == (before.written, before.signature)


def test_some_workunits_have_each_check() -> None:
    kernel = kernel_named("operators")[1]
    ops = {node.op for node in nodes(kernel.body) if isinstance(node, ir.CheckedDivision)}
    assert ops == {"/", "%", "/=", "%="}
    assert count(kernel_named("team_sums")[1], ir.CheckedElement) > 5


def test_lines_are_those_of_the_statements() -> None:
    before, after = kernel_named("two_deep")
    lines = {s.line for s in nodes(before.body) if isinstance(s, ir.Assign)}
    found = {node.line for node in nodes(after.body) if isinstance(node, ir.CheckedElement)}
    assert found <= lines
    assert len(found) == 2


@pytest.mark.parametrize("target", list(pk.ExecutionSpace), ids=lambda s: s.value)
def test_nothing_is_vectorized_and_without_debug_mode_nothing_is_checked(target: Any) -> None:
    workunit, _, types = ENGINES["fused_equal"]
    text = generate(workunit, target, types, debug=True).text
    assert "kkspdnn_checks::at(" in text
    assert "lanes::for_each" not in text
    plain = generate(workunit, target, types)
    assert not plain.debug
    assert "lanes::for_each" in plain.text
    assert "check" not in plain.text
