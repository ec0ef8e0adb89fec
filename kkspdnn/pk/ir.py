"""A workunit after type checking: every expression has its C++ type, every name is known.

analyse.py makes it from the Python tree, emit.py writes C++ from it.
"""

from __future__ import annotations

from dataclasses import dataclass

from kkspdnn.pk.signature import Signature
from kkspdnn.pk.types import Scalar


@dataclass(frozen=True)
class Constant:
    text: str
    type: Scalar


@dataclass(frozen=True)
class Name:
    """A local, a parameter, a loop counter, a work item or an accumulator."""

    name: str
    type: Scalar


@dataclass(frozen=True)
class Element:
    """`view[i][j]`, or an element of a local array."""

    array: str
    indices: tuple[Expr, ...]
    type: Scalar
    local: bool


@dataclass(frozen=True)
class Extent:
    view: str
    dimension: int
    type: Scalar


@dataclass(frozen=True)
class Unary:
    op: str
    operand: Expr
    type: Scalar


@dataclass(frozen=True)
class Binary:
    """Arithmetic, comparison or logic; `op` is the C++ operator."""

    op: str
    left: Expr
    right: Expr
    type: Scalar


@dataclass(frozen=True)
class Cast:
    operand: Expr
    type: Scalar


@dataclass(frozen=True)
class Call:
    """A math function or a `@pk.function`."""

    function: str
    arguments: tuple[Expr, ...]
    type: Scalar


@dataclass(frozen=True)
class TeamCall:
    """`m.league_rank()`, `m.team_rank()`, `m.team_size()`."""

    team: str
    method: str
    type: Scalar


@dataclass(frozen=True)
class Atomic:
    function: str
    target: Element
    value: Expr
    type: Scalar


Expr = Constant | Name | Element | Extent | Unary | Binary | Cast | Call | TeamCall | Atomic


@dataclass(frozen=True)
class Declare:
    line: int
    name: str
    type: Scalar
    value: Expr


@dataclass(frozen=True)
class DeclareArray:
    line: int
    name: str
    element: Scalar
    values: tuple[Expr, ...]


@dataclass(frozen=True)
class Assign:
    """`target op value`, with op `=`, `+=`, …"""

    line: int
    target: Name | Element
    op: str
    value: Expr


@dataclass(frozen=True)
class Evaluate:
    line: int
    value: Atomic


@dataclass(frozen=True)
class Barrier:
    line: int
    team: str


@dataclass(frozen=True)
class If:
    line: int
    test: Expr
    body: tuple[Stmt, ...]
    orelse: tuple[Stmt, ...]


@dataclass(frozen=True)
class For:
    line: int
    counter: str
    begin: Expr
    end: Expr
    step: Expr
    descending: bool
    body: tuple[Stmt, ...]


@dataclass(frozen=True)
class While:
    line: int
    test: Expr
    body: tuple[Stmt, ...]


@dataclass(frozen=True)
class Jump:
    """`break`, `continue` or a bare `return`."""

    line: int
    word: str


@dataclass(frozen=True)
class ReturnValue:
    line: int
    value: Expr


@dataclass(frozen=True)
class Inner:
    """A nested function: its work item, accumulator and body."""

    index: str
    accumulator: str | None
    result: Scalar | None
    body: tuple[Stmt, ...]


@dataclass(frozen=True)
class Nested:
    """A nested parallel pattern; `into` is the local that a reduction fills."""

    line: int
    range: str
    team: str
    bounds: tuple[Expr, ...]
    inner: Inner
    into: str | None


Stmt = (
    Declare
    | DeclareArray
    | Assign
    | Evaluate
    | Barrier
    | If
    | For
    | While
    | Jump
    | ReturnValue
    | Nested
)


@dataclass(frozen=True)
class DeviceFunction:
    """A `@pk.function` that the workunit calls."""

    name: str
    line: int
    parameters: tuple[Name, ...]
    result: Scalar
    body: tuple[Stmt, ...]


@dataclass(frozen=True)
class Kernel:
    """A whole workunit, ready to be written as C++.

    written: the views that the body stores to; the others become `const`
    """

    name: str
    path: str
    line: int
    signature: Signature
    functions: tuple[DeviceFunction, ...]
    body: tuple[Stmt, ...]
    written: frozenset[str]
