"""Which parts of the input rows are still to be computed, which of them here, and what is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kkspdnn.engines import PartialResult
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network
from kkspdnn.parallel.checkpoint import (
    Checkpoint,
    check_folder,
    inputs_fact,
    layer_digest,
    network_fact,
    open_checkpoint,
)
from kkspdnn.parallel.ranks import Ranks
from kkspdnn.parallel.row_blocks import Part


@dataclass(frozen=True, eq=False)
class Partition:
    """todo: parts to be computed; mine: those of this rank; checkpoint: where they are kept

    saved: on rank 0 what came out of the other parts; saved_rows: how many rows those have
    """

    todo: Sequence[Part]
    mine: Sequence[Part]
    checkpoint: Checkpoint | None = None
    saved: Sequence[PartialResult] = ()
    saved_rows: int = 0


def partition_rows(ranks: Ranks, parts: int) -> Partition:
    """All rows in so many parts."""
    every = [Part(number, parts) for number in range(parts)]
    return Partition(every, every[ranks.rank :: ranks.size])


def resume(
    folder: Path,
    ranks: Ranks,
    network: Network,
    inputs: Inputs,
    facts: dict[str, str],
    parts: int,
) -> Partition:
    """What a checkpoint leaves to do; it is begun where there is none, with a multiple of `parts`.

    facts: all that values depend on beside the layers of the network and the input rows. InputError
    for a checkpoint of another run, or one that is damaged.
    """
    depth = len(network.layers)
    own = [layer_digest(network.layers[each]) for each in range(ranks.rank, depth, ranks.size)]
    digests = ranks.gather(own)
    checkpoint: Checkpoint | None = None
    saved: list[PartialResult] = []
    finished: list[int] = []
    if ranks.rank == 0:
        layers = (digests[each % ranks.size][each // ranks.size] for each in range(depth))
        what = {"network": network_fact(network, layers), "input rows": inputs_fact(inputs)}
        checkpoint = open_checkpoint(folder, what | facts, inputs.rows, network.outputs, ranks.size)
        finished = checkpoint.finished()
        saved = [checkpoint.load(number) for number in finished]
    checkpoint, finished = ranks.broadcast((checkpoint, finished))
    assert checkpoint is not None
    if ranks.rank:
        check_folder(folder)
    of = checkpoint.manifest.parts
    done = set(finished)
    todo = [Part(number, of) for number in range(of) if number not in done]
    saved_rows = sum(Part(number, of).rows(inputs) for number in finished)
    return Partition(todo, todo[ranks.rank :: ranks.size], checkpoint, saved, saved_rows)
