"""The row shards of a run: which are finished, and which ones each rank computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kkspdnn.engines import PartialResult
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network
from kkspdnn.parallel.checkpoint import (
    Checkpoint,
    check_visible,
    inputs_sha256,
    layer_digest,
    network_sha256,
    open_checkpoint,
)
from kkspdnn.parallel.ranks import Ranks
from kkspdnn.parallel.row_shards import RowShard


@dataclass(frozen=True, eq=False)
class Partition:
    """The row shards of a run.

    remaining: the shards to compute
    local: the ones among them that this rank computes in a data-parallel run
    checkpoint: where computed shards are saved, or None
    saved: on rank 0, the results of the finished shards, from the checkpoint
    saved_rows: the number of their rows
    """

    remaining: Sequence[RowShard]
    local: Sequence[RowShard]
    checkpoint: Checkpoint | None = None
    saved: Sequence[PartialResult] = ()
    saved_rows: int = 0


def partition_rows(ranks: Ranks, shards: int) -> Partition:
    """Partition the rows into a number of shards, without a checkpoint."""
    remaining = [RowShard(index, shards) for index in range(shards)]
    return Partition(remaining, remaining[ranks.rank :: ranks.size])


def resume(
    folder: Path,
    ranks: Ranks,
    network: Network,
    inputs: Inputs,
    configuration: Mapping[str, str],
) -> Partition:
    """Partition the rows into the shards of a checkpoint and load the finished ones.

    configuration: what the values depend on, except the layers and input rows

    The number of shards of a new checkpoint is a multiple of the number of ranks. Collective.

    Raises InputError if the checkpoint belongs to another run or is damaged.
    """
    depth = len(network.layers)
    own = [layer_digest(network.layers[each]) for each in range(ranks.rank, depth, ranks.size)]
    digests = ranks.gather(own)
    checkpoint: Checkpoint | None = None
    saved: list[PartialResult] = []
    finished: list[int] = []
    if ranks.rank == 0:
        layers = (digests[each % ranks.size][each // ranks.size] for each in range(depth))
        data = {"network": network_sha256(network, layers), "input rows": inputs_sha256(inputs)}
        checkpoint = open_checkpoint(
            folder, data | dict(configuration), inputs.rows, network.outputs, ranks.size
        )
        finished = checkpoint.finished_shards()
        saved = [checkpoint.load(index) for index in finished]
    checkpoint, finished = ranks.broadcast((checkpoint, finished))
    assert checkpoint is not None
    if ranks.rank:
        check_visible(folder)
    count = checkpoint.manifest.parts
    done = set(finished)
    remaining = [RowShard(index, count) for index in range(count) if index not in done]
    saved_rows = sum(RowShard(index, count).size(inputs) for index in finished)
    return Partition(remaining, remaining[ranks.rank :: ranks.size], checkpoint, saved, saved_rows)
