"""From the source of a workunit to its IR, for tests of single passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from textwrap import dedent, indent
from types import ModuleType
from typing import Any

from kkspdnn.pk import ir
from kkspdnn.pk.frontend.analyse import analyse
from kkspdnn.pk.frontend.parse import parse
from kkspdnn.pk.types import Scalar

Load = Callable[..., ModuleType]

HEAD = "import math\nfrom typing import List\nimport pykokkos as pk\n"

LANES = """
@pk.workunit
def w(
    m: pk.TeamMember,
    x: pk.View3D[pk.float],
    y: pk.View3D[pk.float],
    d: pk.View3D[pk.double],
    b: pk.View3D[pk.uint8],
    index: pk.View1D[pk.int32],
    f: pk.float,
    u: pk.uint8,
    n: int,
):
    def lane(v: int):
{body}

    pk.parallel_for(pk.ThreadVectorRange(m, n), lane)
"""


def source_of(body: str, parameters: str, before: str = "") -> str:
    """The text of a file with the workunit `w`."""
    return (
        f"{HEAD}{dedent(before)}\n@pk.workunit\ndef w({parameters}):\n"
        f"{indent(dedent(body).strip(), '    ')}\n"
    )


def lane_function(load: Load, body: str) -> ir.Kernel:
    """The typed IR of a workunit with one ThreadVectorRange, whose lanes run `body`."""
    text = HEAD + LANES.format(body=indent(dedent(body).strip(), " " * 8))
    return analyse(parse(load(text).w), ())


def without_lines(node: Any) -> Any:
    """IR with the line 0 for all statements, which makes it comparable."""
    if isinstance(node, tuple):
        return tuple(without_lines(each) for each in node)
    if not is_dataclass(node) or isinstance(node, type) or isinstance(node, Scalar):
        return node
    changes = {each.name: without_lines(getattr(node, each.name)) for each in fields(node)}
    if "line" in changes:
        changes["line"] = 0
    return replace(node, **changes)
