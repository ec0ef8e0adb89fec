"""The typed intermediate representation (IR) of workunits.

`frontend.analyse` builds it from the Python syntax tree: every expression has a type, every name is
resolved. `passes.vectorize` replaces ranges over vector lanes by `VectorRange`s. `codegen.emit`
prints C++ from the result. A printer needs nothing but the IR and its target.
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
    """`for counter in range(begin, end, step)`; `unroll` is the factor to ask of the compiler."""

    line: int
    counter: str
    begin: Expr
    end: Expr
    step: Expr
    descending: bool
    body: tuple[Stmt, ...]
    unroll: int = 1


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
    """A nested parallel pattern; `into` is the local that a reduction fills.

    scalar_because: why `vectorize` left the lanes of a ThreadVectorRange one at a time
    no_gather: keep the compiler from turning the loads of the lanes into gather instructions
    """

    line: int
    range: str
    team: str
    bounds: tuple[Expr, ...]
    inner: Inner
    into: str | None
    scalar_because: str | None = None
    no_gather: bool = False


# ---- vectors: one value for each of several neighbouring lanes --------------------------------


@dataclass(frozen=True)
class VectorName:
    """A local that differs between lanes. The `type` of a vector is that of one lane."""

    name: str
    type: Scalar


@dataclass(frozen=True)
class StridedElement:
    """The element `count` strides of dimension `dimension` past `base`.

    The innermost loop changes `count` and leaves the indices of `base` alone.
    """

    base: Element
    dimension: int
    count: Expr


@dataclass(frozen=True)
class VectorLoad:
    """Neighbouring elements; `source` is that of the first lane."""

    source: Element | StridedElement
    type: Scalar


@dataclass(frozen=True)
class Broadcast:
    """The same value in every lane."""

    operand: Expr
    type: Scalar


@dataclass(frozen=True)
class Widen:
    """Bytes converted to `type`."""

    operand: VectorExpr
    type: Scalar


@dataclass(frozen=True)
class VectorBinary:
    """`+`, `-` or `*` in every lane."""

    op: str
    left: VectorExpr
    right: VectorExpr
    type: Scalar


VectorExpr = VectorName | VectorLoad | Broadcast | Widen | VectorBinary


@dataclass(frozen=True)
class VectorCompare:
    """A comparison in every lane: a mask."""

    op: str
    left: VectorExpr
    right: VectorExpr


@dataclass(frozen=True)
class DeclareVector:
    line: int
    name: str
    type: Scalar
    value: VectorExpr


@dataclass(frozen=True)
class AssignVector:
    """`target op value` in the lanes where `mask` holds; in all lanes if it is None."""

    line: int
    target: VectorName
    op: str
    value: VectorExpr
    mask: VectorCompare | None = None


@dataclass(frozen=True)
class StoreVector:
    """Store to neighbouring elements; `target` is that of the first lane."""

    line: int
    target: Element
    value: VectorExpr


@dataclass(frozen=True)
class VectorRange:
    """A ThreadVectorRange whose lanes run several at a time, in vectors.

    index: the first lane of a vector; type: of the vectors, those of bytes excepted
    """

    line: int
    team: str
    count: Expr
    index: str
    type: Scalar
    body: tuple[Stmt, ...]


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
    | DeclareVector
    | AssignVector
    | StoreVector
    | VectorRange
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
