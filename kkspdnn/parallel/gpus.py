"""Which GPU each rank of a node runs on."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from kkspdnn.parallel.ranks import Ranks
from kkspdnn.pk.system.cuda_driver import DEVICE_VARIABLE, devices


@dataclass(frozen=True)
class VisibleGpus:
    """The GPUs of a node that one rank can use.

    identities: for each device number what tells the GPU apart from the others of the node
    requested: the device number that the user gave, or None
    """

    identities: tuple[str, ...]
    requested: int | None = None

    @property
    def fixed(self) -> str | None:
        """The GPU that the user gave; None if there is none of that number."""
        if self.requested is None or not 0 <= self.requested < len(self.identities):
            return None
        return self.identities[self.requested]


@dataclass(frozen=True)
class Placement:
    """The GPU that a rank runs on.

    device: its number within CUDA_VISIBLE_DEVICES; None on a CPU, and if KOKKOS_DEVICE_ID is set
    sharing: how many ranks of the node run on the same GPU, this one included
    """

    device: int | None = None
    sharing: int = 1


def select_gpu(ranks: Ranks, space: str, device: int | None) -> Placement:
    """The GPU of this rank: `device` or KOKKOS_DEVICE_ID if given, else see `assign_gpus`.

    Rank 0 logs a warning if ranks share a GPU. Collective, in every space.
    """
    found = devices() if space == "cuda" else ()
    variable = os.environ.get("CUDA_VISIBLE_DEVICES")
    own = VisibleGpus(
        tuple(each.uuid or f"{variable}/{each.number}" for each in found),
        device if device is not None or not found else _device_of_environment(len(found)),
    )
    all_ranks = ranks.all_gather_node(own)
    numbers = assign_gpus(all_ranks)
    used = Counter(
        gpus.identities[number]
        for gpus, number in zip(all_ranks, numbers, strict=True)
        if number is not None
    )
    number, sharing, name = numbers[ranks.local_rank], 1, ""
    if number is not None:
        sharing = used[own.identities[number]]
        name = f"device {number} ({found[number].name}) of {ranks.host}"
    most = max(ranks.all_gather((sharing, name)))
    if ranks.rank == 0 and most[0] > 1:
        logging.getLogger("kkspdnn").warning(
            "%d ranks share %s and its memory; start at most one rank for each GPU of a node", *most
        )
    return Placement(number if own.requested is None else device, sharing)


def assign_gpus(ranks: Sequence[VisibleGpus]) -> list[int | None]:
    """For each rank of a node the device number of its GPU; None for a rank without one.

    A rank uses the GPU that the user gave. Each other rank, those that see the fewest GPUs first,
    uses the one that the fewest ranks use so far, and of several the one with the lowest number. So
    ranks that see the same GPUs use them in turn.
    """
    used = Counter(gpus.fixed for gpus in ranks if gpus.fixed is not None)
    numbers = [gpus.requested if gpus.fixed is not None else None for gpus in ranks]
    for rank in sorted(range(len(ranks)), key=lambda rank: len(ranks[rank].identities)):
        identities = ranks[rank].identities
        if ranks[rank].requested is not None or not identities:
            continue
        number = min(range(len(identities)), key=lambda number: used[identities[number]])
        used[identities[number]] += 1
        numbers[rank] = number
    return numbers


def _device_of_environment(count: int) -> int | None:
    """The number in KOKKOS_DEVICE_ID, or None. What is no number becomes one that no device has: it
    is refused where the device is opened."""
    text = os.environ.get(DEVICE_VARIABLE, "").strip()
    if not text:
        return None
    return int(text) if text.isascii() and text.isdecimal() else count
