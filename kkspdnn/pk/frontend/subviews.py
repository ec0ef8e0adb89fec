"""Subviews: `row = a[i, :]` names some of the elements of a view.

A subview has no object in the generated code: an element of it is an element of the view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kkspdnn.pk import ir
from kkspdnn.pk.types import INT64, Scalar, View, promote


@dataclass(frozen=True)
class Fixed:
    """A dimension of a view that a subview lacks, at this index."""

    index: ir.Expr


@dataclass(frozen=True)
class Slice:
    """A dimension of a subview: `begin:end` of the view's, or all of it if both are None."""

    begin: ir.Expr | None
    end: ir.Expr | None


@dataclass(frozen=True)
class Subview:
    """A subview of `view`; dimensions: one for each of the view's."""

    view: str
    element: Scalar
    dimensions: tuple[Fixed | Slice, ...]

    @classmethod
    def whole(cls, name: str, view: View) -> Subview:
        """Return the subview that has all elements of a view."""
        return cls(name, view.element, (Slice(None, None),) * view.rank)

    @property
    def rank(self) -> int:
        return sum(isinstance(d, Slice) for d in self.dimensions)

    def indices(self, indices: Sequence[ir.Expr]) -> tuple[ir.Expr, ...]:
        """Return the indices in the view of an element of the subview."""
        rest = iter(indices)
        return tuple(
            d.index if isinstance(d, Fixed) else _moved(next(rest), d.begin)
            for d in self.dimensions
        )

    def extent(self, dimension: int) -> ir.Expr:
        """Return the extent of a dimension of the subview, an int64."""
        kept = [(n, d) for n, d in enumerate(self.dimensions) if isinstance(d, Slice)]
        number, part = kept[dimension]
        if part.begin is None or part.end is None:
            return ir.Extent(self.view, number, INT64)
        return ir.Cast(ir.Binary("-", part.end, part.begin, _type(part.end, part.begin)), INT64)

    def select(self, parts: Sequence[Fixed | Slice]) -> Subview:
        """Return a subview of the subview; parts: one for each of its dimensions."""
        rest = iter(parts)
        return Subview(
            self.view,
            self.element,
            tuple(d if isinstance(d, Fixed) else _selected(next(rest), d) for d in self.dimensions),
        )


def _selected(part: Fixed | Slice, of: Slice) -> Fixed | Slice:
    if isinstance(part, Fixed):
        return Fixed(_moved(part.index, of.begin))
    if part.begin is None or part.end is None:
        return of
    return Slice(_moved(part.begin, of.begin), _moved(part.end, of.begin))


def _moved(index: ir.Expr, begin: ir.Expr | None) -> ir.Expr:
    return index if begin is None else ir.Binary("+", begin, index, _type(begin, index))


def _type(a: ir.Expr, b: ir.Expr) -> Scalar:
    return promote(a.type, b.type)
