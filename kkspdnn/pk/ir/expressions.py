"""Expressions of the IR."""

from __future__ import annotations

from dataclasses import dataclass

from kkspdnn.pk.types import Scalar

# ---- scalars ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Constant:
    """A literal; an int is never negative."""

    value: bool | int | float
    type: Scalar


@dataclass(frozen=True)
class Name:
    """The value of a local, a parameter, an induction variable, a work item or an accumulator."""

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
    """`view.extent(dimension)`."""

    view: str
    dimension: int
    type: Scalar


@dataclass(frozen=True)
class Unary:
    """`op operand`."""

    op: str
    operand: Expr
    type: Scalar


@dataclass(frozen=True)
class Binary:
    """`left op right`: arithmetic, a comparison or logic."""

    op: str
    left: Expr
    right: Expr
    type: Scalar


@dataclass(frozen=True)
class Cast:
    """A conversion to `type`."""

    operand: Expr
    type: Scalar


@dataclass(frozen=True)
class Call:
    """A call of a math function or a `@pk.function`; the type of one without a result is int32."""

    function: str
    arguments: tuple[Expr, ...]
    type: Scalar


@dataclass(frozen=True)
class TeamCall:
    """`m.league_rank()`, `m.team_rank()` or `m.team_size()`."""

    team: str
    method: str
    type: Scalar


@dataclass(frozen=True)
class Atomic:
    """`pk.atomic_fetch_add(view, [i], value)` and the like; its value is the old element.

    `atomic_add` and `atomic_increment` have no value.
    """

    function: str
    target: Element
    operands: tuple[Expr, ...]
    type: Scalar


@dataclass(frozen=True)
class ViewArgument:
    """A view as an argument of a `@pk.function`; type: of its elements"""

    view: str
    type: Scalar


Expr = (
    Constant
    | Name
    | Element
    | Extent
    | Unary
    | Binary
    | Cast
    | Call
    | TeamCall
    | Atomic
    | ViewArgument
)

# ---- checked scalars, only in debug mode ------------------------------------------------------


@dataclass(frozen=True)
class CheckedElement:
    """An element whose indices are compared with the extents; `line` is that of its statement."""

    element: Element
    line: int
    type: Scalar


@dataclass(frozen=True)
class CheckedDivision:
    """A division of integers whose divisor is compared with zero.

    op: `/` or `%`; with `=`, the quotient or the remainder is assigned to `left`
    """

    op: str
    left: Expr | CheckedElement
    right: Expr
    line: int
    type: Scalar


@dataclass(frozen=True)
class CheckedDivisor:
    """The operand of an atomic division of integers, which is compared with zero."""

    value: Expr
    line: int
    type: Scalar


CheckedExpr = CheckedElement | CheckedDivision | CheckedDivisor

# ---- vectors: one value for each of several neighbouring lanes --------------------------------
# The type of a vector is that of one lane.


@dataclass(frozen=True)
class VectorName:
    """The value of a local that differs between lanes."""

    name: str
    type: Scalar


@dataclass(frozen=True)
class VectorElement:
    """An element of a local array of vectors."""

    array: str
    index: Expr
    type: Scalar


@dataclass(frozen=True)
class StridedElement:
    """The element `count` strides of dimension `dimension` past `base`.

    `base` is invariant in the innermost loop, `count` is not.
    """

    base: Element
    dimension: int
    count: Expr


@dataclass(frozen=True)
class VectorLoad:
    """A load of neighbouring elements; `source` is that of the first lane."""

    source: Element | StridedElement
    type: Scalar


@dataclass(frozen=True)
class Broadcast:
    """A scalar in every lane, converted to `type`."""

    operand: Expr
    type: Scalar


@dataclass(frozen=True)
class Widen:
    """A vector of bytes, converted to `type`."""

    operand: VectorExpr
    type: Scalar


@dataclass(frozen=True)
class VectorBinary:
    """`left op right` in every lane; `op` is `+`, `-` or `*`."""

    op: str
    left: VectorExpr
    right: VectorExpr
    type: Scalar


VectorExpr = VectorName | VectorElement | VectorLoad | Broadcast | Widen | VectorBinary


@dataclass(frozen=True)
class VectorCompare:
    """The mask `left op right`."""

    op: str
    left: VectorExpr
    right: VectorExpr
