"""Comparisons of implementations on the same network, one for each machine."""

from __future__ import annotations

from kkspdnn.figures.read import Records, Sourced
from kkspdnn.records.comparison import Comparison


def comparisons_of_one_network(records: Records, needed: str) -> list[Sourced[Comparison]]:
    """Return the comparisons with an implementation, all on the same network, by machine.

    needed: the name of an implementation that each comparison has measured

    The network is that of the comparison with the most implementations; of equal ones, the one that
    most comparisons are of, then the largest. Of several comparisons on a machine, the one with the
    most implementations is chosen; of equal ones, the latest.
    """
    found = [
        each for each in records.comparisons if needed in {r.name for r in each.record.measured}
    ]
    if not found:
        return []
    networks = [each.record.network for each in found]

    def size_key(each: Sourced[Comparison]) -> tuple[int, ...]:
        size = each.record.network
        assert size is not None
        return _size(each), networks.count(size), size.inputs, size.edges

    network = max(found, key=size_key).record.network
    best: dict[tuple[str, str | None], Sourced[Comparison]] = {}
    for each in sorted(found, key=lambda each: (each.record.created, each.path)):
        gpu = each.record.gpu if any(row.gpu for row in each.record.measured) else None
        key = each.record.machine, gpu
        if each.record.network == network and (key not in best or _size(each) >= _size(best[key])):
            best[key] = each
    return [best[key] for key in sorted(best, key=lambda key: (key[1] is not None, *map(str, key)))]


def _size(each: Sourced[Comparison]) -> int:
    return len(each.record.measured)
