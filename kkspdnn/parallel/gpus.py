"""The assignment of a node's GPUs to its ranks."""

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

    identities: for each device number a text that identifies the GPU among those of the node
    requested: the device number that the user requested, or None
    """

    identities: tuple[str, ...]
    requested: int | None = None

    @property
    def fixed(self) -> str | None:
        """The GPU that the user requested; None if no GPU has that number."""
        if self.requested is None or not 0 <= self.requested < len(self.identities):
            return None
        return self.identities[self.requested]


@dataclass(frozen=True)
class GpuAssignment:
    """The GPU of a rank.

    device: its number within CUDA_VISIBLE_DEVICES; None on a CPU, and if KOKKOS_DEVICE_ID is set
    ranks: the number of ranks of the node that run on the same GPU, including this one
    """

    device: int | None = None
    ranks: int = 1


def select_gpu(ranks: Ranks, space: str, device: int | None) -> GpuAssignment:
    """Return the GPU of this rank: `device` or KOKKOS_DEVICE_ID if set, else see `assign_gpus`.

    Rank 0 logs a warning if ranks share a GPU. Collective, in every space.
    """
    visible = devices() if space == "cuda" else ()
    variable = os.environ.get("CUDA_VISIBLE_DEVICES")
    own = VisibleGpus(
        tuple(gpu.uuid or f"{variable}/{gpu.number}" for gpu in visible),
        device if device is not None or not visible else _device_of_environment(len(visible)),
    )
    all_ranks = ranks.all_gather_node(own)
    numbers = assign_gpus(all_ranks)
    used = Counter(
        gpus.identities[number]
        for gpus, number in zip(all_ranks, numbers, strict=True)
        if number is not None
    )
    number, ranks_on_gpu, name = numbers[ranks.local_rank], 1, ""
    if number is not None:
        ranks_on_gpu = used[own.identities[number]]
        name = f"device {number} ({visible[number].name}) of {ranks.host}"
    most_shared = max(ranks.all_gather((ranks_on_gpu, name)))
    if ranks.rank == 0 and most_shared[0] > 1:
        logging.getLogger("kkspdnn").warning(
            "%d ranks share %s and its memory; start at most one rank for each GPU of a node",
            *most_shared,
        )
    return GpuAssignment(number if own.requested is None else device, ranks_on_gpu)


def assign_gpus(ranks: Sequence[VisibleGpus]) -> list[int | None]:
    """Return for each rank of a node the device number of its GPU; None for a rank without one.

    A rank uses the GPU that the user requested. Each other rank, starting with those that see the
    fewest GPUs, uses the GPU with the fewest ranks so far, the lowest number first. So ranks that
    see the same GPUs use them in turn.
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
    """Return the number in KOKKOS_DEVICE_ID, or None.

    A text that is not a number becomes a number that no device has, which is refused when the
    device is opened.
    """
    text = os.environ.get(DEVICE_VARIABLE, "").strip()
    if not text:
        return None
    return int(text) if text.isascii() and text.isdecimal() else count
