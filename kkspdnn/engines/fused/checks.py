"""Check layers, before which the active rows are determined, and the cost of compaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kkspdnn.device.launch_parameters import MAX_LAYERS_A_LAUNCH
from kkspdnn.engines.fused.layer import FusedLayer


@dataclass
class Checks:
    """Plans the checks of a batch of rows, and decides when to compact it.

    Compaction follows the ski-rental rule: work for retired rows is wasted until compaction, which
    has a cost; so compact as soon as the wasted work reaches the cost.

    next: the next check layer
    end: the layer before which the batch stops
    check_layers: the check layers; None: they are planned from the number of active rows
    active: number of active rows at the last check
    depth: number of layers that were planned after the last check
    wasted: edges computed for retired rows since the last compaction
    """

    next: int
    end: int
    check_layers: Sequence[int] | None
    active: int
    depth: int = 1
    wasted: int = 0

    @classmethod
    def start(cls, begin: int, end: int, check_layers: Sequence[int] | None, active: int) -> Checks:
        """Return the checks of a batch that starts before layer `begin`."""
        first = begin
        if check_layers is not None:
            first = min([each for each in check_layers if each >= begin], default=end)
        return cls(first, end, check_layers, active)

    def plan(self, position: int, layer: FusedLayer, active: int, cost: int) -> None:
        """Plan the next check.

        position, layer: the next layer
        active: number of active rows; cost: of their check and compaction, in edges
        """
        if self.check_layers is not None:
            self.next = min(
                [each for each in self.check_layers if each > position], default=self.end
            )
            self.depth = self.next - position
            return
        cost_in_layers = cost / max(1, active * layer.edges)
        self.depth = _next_depth(self.depth, self.active, active, cost_in_layers)
        self.next = position + self.depth
        if layer.group_remaining < self.depth and layer.group_index + layer.group_remaining > 1:
            # Check at the end of the group, so that later launches compute whole groups.
            self.next = position + layer.group_remaining

    def should_compact(self, idle: int, edges: int, cost: int) -> bool:
        """Return whether to compact now.

        idle: number of lanes that compaction saves; edges: of the next layer; cost: in edges
        """
        self.wasted += idle * edges * self.depth
        if not idle or self.wasted < cost:
            return False
        self.wasted = 0
        return True


def _next_depth(depth: int, before: int, active: int, cost: float) -> int:
    """Return the number of layers until the next check.

    depth: the same of the last check, which found `before` active rows; now there are `active`
    cost: of a check and compaction of a row, in layers

    If a fraction p of the rows is retired in each layer, retired rows cost p depth^2 / 2 layers
    until the next check, so checks are optimally sqrt(2 cost / p) layers apart. This returns half
    of it, because rows are often retired faster and faster.
    """
    deepest = min(2 * depth, MAX_LAYERS_A_LAUNCH)
    retired = (before - active) / max(1, before * depth)
    if retired * deepest**2 <= cost / 2:
        return deepest
    return max(1, min(deepest, int((cost / (2 * retired)) ** 0.5)))
