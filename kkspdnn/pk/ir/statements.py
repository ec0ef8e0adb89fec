"""Statements of the IR, functions and workunits."""

from __future__ import annotations

from dataclasses import dataclass

from kkspdnn.pk.ir.expressions import (
    Atomic,
    Call,
    CheckedDivision,
    Element,
    Expr,
    Name,
    VectorCompare,
    VectorElement,
    VectorExpr,
    VectorName,
)
from kkspdnn.pk.signature import Signature
from kkspdnn.pk.types import Scalar, View

# ---- scalars ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Declare:
    """`name: type = value`."""

    line: int
    name: str
    type: Scalar
    value: Expr


@dataclass(frozen=True)
class DeclareArray:
    """`name: List[element] = [values]`: a local array."""

    line: int
    name: str
    element: Scalar
    values: tuple[Expr, ...]


@dataclass(frozen=True)
class Assign:
    """`target op value`, with the `op` `=`, `+=`, …"""

    line: int
    target: Name | Element
    op: str
    value: Expr


@dataclass(frozen=True)
class AssignChecked:
    """`a //= b` or `a %= b` of integers in debug mode."""

    line: int
    division: CheckedDivision


@dataclass(frozen=True)
class Evaluate:
    """An atomic operation, or a call of a `@pk.function`, whose value is not used."""

    line: int
    value: Atomic | Call


@dataclass(frozen=True)
class Barrier:
    """`m.team_barrier()`."""

    line: int
    team: str


@dataclass(frozen=True)
class If:
    """`if test: … else: …`; `elif` is an If in `orelse`."""

    line: int
    test: Expr
    body: tuple[Stmt, ...]
    orelse: tuple[Stmt, ...]


@dataclass(frozen=True)
class For:
    """`for variable in range(begin, end, step)`.

    variable: the induction variable, an int32
    descending: whether `step` is negative
    unroll: the factor by which the C++ compiler should unroll the loop
    """

    line: int
    variable: str
    begin: Expr
    end: Expr
    step: Expr
    descending: bool
    body: tuple[Stmt, ...]
    unroll: int = 1


@dataclass(frozen=True)
class While:
    """`while test: …`."""

    line: int
    test: Expr
    body: tuple[Stmt, ...]


@dataclass(frozen=True)
class Jump:
    """`break`, `continue` or `return` without a value."""

    line: int
    keyword: str


@dataclass(frozen=True)
class ReturnValue:
    """`return value` of a `@pk.function`."""

    line: int
    value: Expr


@dataclass(frozen=True)
class NestedFunction:
    """A function defined in a workunit.

    index: the name of its work item, an int32
    accumulator, result: the name and the type of the `pk.Acc` of a reduction, else None
    """

    name: str
    index: str
    accumulator: str | None
    result: Scalar | None
    body: tuple[Stmt, ...]


@dataclass(frozen=True)
class NestedPattern:
    """`pk.parallel_for(pk.TeamThreadRange(team, bounds), function)`, or a reduction.

    policy: `TeamThreadRange` or `ThreadVectorRange`
    target: the local that gets the result of a reduction; None for parallel_for
    scalar_because: why `vectorize` left the lanes of a ThreadVectorRange one at a time
    no_gather: keep the C++ compiler from loading for several lanes with gather instructions
    """

    line: int
    policy: str
    team: str
    bounds: tuple[Expr, ...]
    function: NestedFunction
    target: str | None
    scalar_because: str | None = None
    no_gather: bool = False


@dataclass(frozen=True)
class Single:
    """`pk.single(pk.PerTeam(team), function)`: one thread runs the body.

    policy: `PerTeam` or `PerThread`
    """

    line: int
    policy: str
    team: str
    body: tuple[Stmt, ...]


@dataclass(frozen=True)
class DeclareScratch:
    """`name: pk.ScratchView1D[element] = pk.ScratchView1D(team.team_scratch(level), extents)`.

    memory: `team_scratch` or `thread_scratch`
    extents: known at the launch: of literals, arguments and extents of views
    """

    line: int
    name: str
    element: Scalar
    team: str
    memory: str
    level: int
    extents: tuple[Expr, ...]


@dataclass(frozen=True)
class Print:
    """`pk.printf(format, values)`; the directives fit int64 and double."""

    line: int
    format: str
    values: tuple[Expr, ...]


# ---- vectors ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class DeclareVector:
    """The declaration of a local that differs between lanes."""

    line: int
    name: str
    type: Scalar
    value: VectorExpr


@dataclass(frozen=True)
class AssignVector:
    """`target op value` in the lanes where `mask` holds; in all lanes if it is None."""

    line: int
    target: VectorName | VectorElement
    op: str
    value: VectorExpr
    mask: VectorCompare | None = None


@dataclass(frozen=True)
class StoreVector:
    """A store to neighbouring elements; `target` is that of the first lane."""

    line: int
    target: Element
    value: VectorExpr


@dataclass(frozen=True)
class LoadRow:
    """The local array `name` of `count` consecutive elements of a view, with one load for several
    of them; `first` is the first one. All lanes load the same elements."""

    line: int
    name: str
    first: Element
    count: int


@dataclass(frozen=True)
class BatchedLoop:
    """A loop that computes `width` iterations at a time: all their loads, then the rest.

    loop: the loop over single iterations, for those that are left
    rows: loads of the elements of all iterations of a batch
    ahead: those of them that only `loads` reads: they are loaded one batch ahead
    inner_rows: loads of rows in `body`. If a row is not aligned, `loop` computes all iterations
    vectors: names of the local arrays of `width` vectors that `loads` fills, and their types
    number: the name of the number of an iteration in its batch
    loads, body: run for each iteration of a batch
    """

    line: int
    loop: For
    width: int
    rows: tuple[LoadRow, ...]
    ahead: tuple[LoadRow, ...]
    inner_rows: tuple[LoadRow, ...]
    vectors: tuple[tuple[str, Scalar], ...]
    number: str
    loads: tuple[Stmt, ...]
    body: tuple[Stmt, ...]


@dataclass(frozen=True)
class VectorRange:
    """A ThreadVectorRange of `count` lanes that runs on vectors.

    name: of the function that the lanes run
    index: the name of the first lane of a vector, an int32
    type: of the vectors; if it is not uint8, some may hold bytes
    registers: on a CPU, SIMD registers of a vector
    """

    line: int
    team: str
    count: Expr
    name: str
    index: str
    type: Scalar
    body: tuple[Stmt, ...]
    registers: int = 4


@dataclass(frozen=True)
class Compaction:
    """A loop that appends the nonzero elements of a row to a list, on vectors.

    loop: the loop
    first: the first element of the row
    number, value: the elements that get the number and the value of a nonzero, at `cursor`
    cursor: the local that counts the nonzeros
    """

    line: int
    loop: For
    first: Element
    number: Element
    value: Element
    cursor: Name


Stmt = (
    Declare
    | DeclareArray
    | Assign
    | AssignChecked
    | Evaluate
    | Barrier
    | If
    | For
    | While
    | Jump
    | ReturnValue
    | NestedPattern
    | Single
    | DeclareScratch
    | Print
    | DeclareVector
    | AssignVector
    | StoreVector
    | LoadRow
    | BatchedLoop
    | VectorRange
    | Compaction
)

# ---- workunits ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class ViewParameter:
    """A parameter of a `@pk.function` that is a view."""

    name: str
    view: View


@dataclass(frozen=True)
class DeviceFunction:
    """A `@pk.function` that the workunit calls.

    result: None if it returns nothing
    written: the parameters to whose elements it stores
    short_extents: as in `Kernel`
    path: the name of its cell, if that is not the workunit's; None otherwise
    """

    name: str
    line: int
    parameters: tuple[Name | ViewParameter, ...]
    result: Scalar | None
    body: tuple[Stmt, ...]
    written: frozenset[str] = frozenset()
    short_extents: frozenset[tuple[str, int]] = frozenset()
    path: str | None = None


@dataclass(frozen=True)
class Kernel:
    """A workunit.

    path: of its Python file
    functions: the `@pk.function`s that it calls, each after those that it calls itself
    written: the views that the body stores to
    short_extents: the views and dimensions whose extents must fit int32, as bounds of loops
    """

    name: str
    path: str
    line: int
    signature: Signature
    functions: tuple[DeviceFunction, ...]
    body: tuple[Stmt, ...]
    written: frozenset[str]
    short_extents: frozenset[tuple[str, int]] = frozenset()
