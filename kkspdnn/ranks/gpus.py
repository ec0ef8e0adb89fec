"""Which GPU each rank of a node takes."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from kkspdnn.pk.driver import DEVICE_VARIABLE, devices
from kkspdnn.ranks.world import Ranks


@dataclass(frozen=True)
class Visible:
    """What one rank sees of its node's GPUs.

    gpus: for each device number the GPU's identity, the same on all ranks of the node
    wanted: the number that the user gave, or None
    """

    gpus: tuple[str, ...]
    wanted: int | None = None

    @property
    def fixed(self) -> str | None:
        """The GPU that the user gave, where there is one of that number."""
        if self.wanted is None or not 0 <= self.wanted < len(self.gpus):
            return None
        return self.gpus[self.wanted]


@dataclass(frozen=True)
class Placement:
    """device: the number of the GPU that a rank takes, within CUDA_VISIBLE_DEVICES; None where the
    environment or the space decides; sharing: how many ranks of its node take the same GPU."""

    device: int | None = None
    sharing: int = 1


def take_gpu(ranks: Ranks, space: str, device: int | None) -> Placement:
    """The GPU of this rank: `device` or KOKKOS_DEVICE_ID if given, else one that as few ranks of
    the node as possible take. Rank 0 logs a warning where ranks share a GPU.

    Collective, in every space.
    """
    own, found = Visible(()), devices() if space == "cuda" else ()
    if found:
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        identities = tuple(each.uuid or f"{seen}/{each.number}" for each in found)
        own = Visible(identities, device if device is not None else _from_environment())
    everyone = ranks.all_gather_node(own)
    numbers = deal_gpus(everyone)
    number = numbers[ranks.local_rank]
    taken = Counter(v.gpus[n] for v, n in zip(everyone, numbers, strict=True) if n is not None)
    sharing, what = 1, ""
    if number is not None:
        sharing = taken[own.gpus[number]]
        what = f"device {number} ({found[number].name}) of {ranks.host}"
    most = max(ranks.all_gather((sharing, what)))
    if ranks.rank == 0 and most[0] > 1:
        logging.getLogger("kkspdnn").warning(
            "%d ranks share %s and its memory; start at most one rank for each GPU of a node", *most
        )
    # A number from the environment stays there.
    return Placement(number if own.wanted is None else device, sharing)


def deal_gpus(visible: Sequence[Visible]) -> list[int | None]:
    """For each rank of a node the number of the GPU that it takes; None where it takes none.

    A GPU that the user gave is taken. The other ranks, those with the smallest choice first, take
    the GPU that the fewest have taken so far, the one with the lowest number first. So ranks that
    see the same GPUs take them in turn.
    """
    taken = Counter(each.fixed for each in visible if each.fixed is not None)
    numbers = [each.wanted if each.fixed is not None else None for each in visible]
    for rank in sorted(range(len(visible)), key=lambda rank: len(visible[rank].gpus)):
        gpus = visible[rank].gpus
        if visible[rank].wanted is not None or not gpus:
            continue
        number = min(range(len(gpus)), key=lambda number: taken[gpus[number]])
        taken[gpus[number]] += 1
        numbers[rank] = number
    return numbers


def _from_environment() -> int | None:
    """The number in KOKKOS_DEVICE_ID; what is none is refused where the device is opened."""
    text = os.environ.get(DEVICE_VARIABLE, "").strip()
    if not text:
        return None
    return int(text) if text.isascii() and text.isdecimal() else len(devices())
