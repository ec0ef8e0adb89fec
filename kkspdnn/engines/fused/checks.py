"""Before which layers the rows of a run are checked, and when the active ones are compacted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kkspdnn.engines.fused.layer import MOST_DEPTH, FusedLayer


@dataclass
class Checks:
    """The checks of rows that go through layers.

    next: the layer before which they are checked next
    end: the layer before which they stop
    fixed: the layers before which they are checked; None: as often as pays by what is seen
    rows: how many were active at the last check
    depth: how many layers were to be computed after it
    wasted: edges computed for rows that had left, since rows were moved together
    """

    next: int
    end: int
    fixed: Sequence[int] | None
    rows: int
    depth: int = 1
    wasted: int = 0

    @classmethod
    def start(cls, begin: int, end: int, fixed: Sequence[int] | None, rows: int) -> Checks:
        """The first is before layer `begin`, or where `fixed` has the first one."""
        first = begin
        if fixed is not None:
            first = min([each for each in fixed if each >= begin], default=end)
        return cls(first, end, fixed, rows)

    def plan(self, position: int, layer: FusedLayer, active: int, price: int) -> None:
        """Choose the next check.

        position, layer: of the next layer; active: number of rows that go on; price: of moving
        these, in edges
        """
        if self.fixed is not None:
            self.next = min([each for each in self.fixed if each > position], default=self.end)
            self.depth = self.next - position
            return
        price_in_layers = price / max(1, active * layer.edges)
        self.depth = _next_depth(self.depth, self.rows, active, price_in_layers)
        self.next = position + self.depth
        if layer.following < self.depth and layer.position + layer.following > 1:
            # So that later launches go through whole stacks.
            self.next = position + layer.following

    def pays(self, idle: int, edges: int, price: int) -> bool:
        """Whether to move rows together now, which is the question whether to rent or to buy:
        computing rows that have left costs rent, moving the others is the price. They move once the
        rent reaches it.

        idle: rows that moving would save, of so many edges in the next layer
        """
        self.wasted += idle * edges * self.depth
        if not idle or self.wasted < price:
            return False
        self.wasted = 0
        return True


def _next_depth(depth: int, before: int, living: int, price: float) -> int:
    """How many layers to compute until rows are looked at again.

    depth: how many the last time, when of `before` rows `living` stayed; price: of looking at a row
    and moving it, in layers. Where the part p of the rows leaves with every layer, rows that have
    left cost p depth^2 / 2 layers until the next look, so looks are sqrt(2 price / p) layers apart
    at best; half of that here, because rows often leave faster and faster.
    """
    most = min(2 * depth, MOST_DEPTH)
    part = (before - living) / max(1, before * depth)
    if part * most**2 <= price / 2:
        return most
    return max(1, min(most, int((price / (2 * part)) ** 0.5)))
