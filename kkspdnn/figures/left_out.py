"""The records that no figure shows, each with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kkspdnn.figures.points import Point
from kkspdnn.figures.read import LeftOut, Records
from kkspdnn.units import plural

if TYPE_CHECKING:
    from kkspdnn.figures.chart import Chart


def left_out(paths: Sequence[Path], records: Records, found: Iterable[Chart]) -> list[LeftOut]:
    """Return the files that none of these charts shows, in the order of `paths`."""
    known = {each.path: each for each in records.left_out}
    shown = {path for chart in found for path in chart.sources}
    return [
        known.get(path) or LeftOut(path, _reason(path, records))
        for path in dict.fromkeys(paths)
        if path in known or path not in shown
    ]


def _reason(path: Path, records: Records) -> str:
    own = [p for p in (*records.points, *records.of_ranks) if p.source == path]
    if own:
        return _reason_of_points(own, records.points)
    for each in records.comparisons:
        ceilings = each.record.ceilings
        if each.path == path and ceilings is not None:
            threads = plural(ceilings.threads, "thread")
            return f"no implementation was measured on {each.record.machine} with {threads}"
    return "other records have newer measurements of the same, or another network"


def _reason_of_points(own: Sequence[Point], others: Sequence[Point]) -> str:
    """Return why points are not shown; the first reason that applies to any of them."""
    for point in own:
        threads = max((p.threads for p in others if p.machine == point.machine), default=0)
        if threads > point.threads:
            more = plural(threads, "thread")
            return f"other records of {point.machine.name} have {more}, this one {point.threads}"
        rows = max((p.problem_inputs for p in others if _is_like(p, point)), default=0)
        if rows > point.problem_inputs:
            more = plural(rows, "input row")
            return f"other records of the same have {more}, this one {point.problem_inputs:,}"
    return f"no other record of {own[0].label!r} differs in one size, in threads or in machine only"


def _is_like(one: Point, other: Point) -> bool:
    return (one.name, one.machine, one.network) == (other.name, other.machine, other.network)
