"""What an iteration of a loop over edges costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.resources.dataflow import Roles, roles
from bench.resources.latency import overlap
from bench.resources.loops import Loop, innermost_loops
from bench.resources.sass import Instruction
from kkspdnn.errors import ToolchainError

_WAVEFRONT_BYTES = 128
_WARP = 32


@dataclass(frozen=True)
class LoopCounts:
    """One iteration of the loop over edges, as a thread sees it.

    edges: of the network; rows: input rows of each, also called lanes
    instructions: all in the body, the branch included; spills: loads and stores of local memory
    activation_loads, index_loads, other_loads: how many; other ones are of weights
    activation_bytes, index_bytes: widths of these loads, bytes a thread, each once
    in_flight: the largest number of activation loads that a warp issues before it waits for one
    latencies: load latencies that follow one another, see `latency.Overlap`
    wavefronts: that the loads and stores of a warp take in L1
    """

    edges: int
    rows: int
    instructions: int
    spills: int
    activation_loads: int
    activation_bytes: tuple[int, ...]
    index_loads: int
    index_bytes: tuple[int, ...]
    other_loads: int
    in_flight: int
    latencies: float
    wavefronts: int

    @property
    def row_edges(self) -> int:
        """Edges times rows: the multiply-adds, or additions, of a thread."""
        return self.edges * self.rows

    @property
    def loads(self) -> int:
        """All loads of the iteration."""
        return self.activation_loads + self.index_loads + self.other_loads

    @property
    def mean_in_flight(self) -> float:
        """Loads of all kinds that a warp has in flight on average while it waits for loads."""
        return self.loads / self.latencies

    @property
    def instructions_per_edge(self) -> float:
        """Instructions of a warp for an edge of 32 rows."""
        return self.instructions / self.row_edges

    @property
    def wavefronts_per_edge(self) -> float:
        """L1 wavefronts of a warp for an edge of 32 rows."""
        return self.wavefronts / self.row_edges


def main_loops(
    function: Sequence[Instruction], value_bytes: int, index_bytes: int, whole: bool, name: str
) -> tuple[LoopCounts, ...]:
    """
    The counts of the loops over edges that do most of the work of a kernel, one for each number of
    rows that a thread computes at once, the most rows first.

    Of several with the same rows, the one with the most edges an iteration is taken; others are for
    the edges that are left. value_bytes, index_bytes: the sizes of an activation and of an index;
    whole: activations are whole numbers, which a compiler may add three at a time; name: for
    messages. Raises ToolchainError where no loop loads activations by index, or one cannot be
    counted.
    """
    main: dict[int, LoopCounts] = {}
    for loop in innermost_loops(function):
        found = roles(loop.body)
        if found.activations:
            where = f"{name}, loop at {loop.body[0].address:#06x}"
            counts = _counts(loop, found, value_bytes, index_bytes, whole, where)
            if counts.rows not in main or counts.edges > main[counts.rows].edges:
                main[counts.rows] = counts
    if not main:
        raise ToolchainError(
            f"{name}: no innermost loop loads from an address made of a loaded index; "
            "bench/resources must learn what the compiler makes of it"
        )
    return tuple(main[rows] for rows in sorted(main, reverse=True))


def _counts(
    loop: Loop, found: Roles, value_bytes: int, index_bytes: int, whole: bool, where: str
) -> LoopCounts:
    body = loop.body
    _check_body(loop, found, where)
    values = _elements(body, found.activations, value_bytes, "activations", where)
    indices = _elements(body, found.indices, index_bytes, "indices", where)
    sums = values if whole else len(found.sums)
    if not sums:
        raise ToolchainError(f"{where}: has no sum of its activations")
    if sums % values:
        raise ToolchainError(
            f"{where}: {sums} sums of {values} activations, which is no whole number for each"
        )
    if values % indices:
        raise ToolchainError(
            f"{where}: loads {values} activations for {indices} indices, which is no whole number "
            "for each"
        )
    overlapping = overlap(body, frozenset(found.activations))
    uniform = frozenset(found.indices) | frozenset(found.others)
    return LoopCounts(
        edges=indices * (sums // values),
        rows=values // indices,
        instructions=len(body),
        spills=sum(each.is_local for each in body),
        activation_loads=len(found.activations),
        activation_bytes=_widths(body, found.activations),
        index_loads=len(found.indices),
        index_bytes=_widths(body, found.indices),
        other_loads=len(found.others),
        in_flight=overlapping.most,
        latencies=overlapping.latencies,
        wavefronts=sum(
            1 if number in uniform and not each.is_local else _wavefronts(each)
            for number, each in enumerate(body)
            if each.is_load or each.is_store
        ),
    )


def _check_body(loop: Loop, found: Roles, where: str) -> None:
    """Raise ToolchainError for what the counts would be wrong for."""
    if loop.skips:
        raise ToolchainError(
            f"{where}: the branch at {loop.skips[0]:#06x} passes over a part of the body, so its "
            "instructions cannot be counted"
        )
    if any(each.name in ("CALL", "JMP", "BRX") for each in loop.body):
        raise ToolchainError(f"{where}: the body calls a function, which is not counted")
    if frozenset(found.indices) & frozenset(found.activations):
        raise ToolchainError(f"{where}: an address is made of an activation")
    if found.other_sums:
        raise ToolchainError(
            f"{where}: the sum at {loop.body[found.other_sums[0]].address:#06x} takes no activation"
        )
    shuffled = any(each.name == "SHFL" for each in loop.body)
    wide = [n for n in (*found.indices, *found.others) if loop.body[n].width > 4]
    if shuffled and wide:
        raise ToolchainError(
            f"{where}: lanes exchange values, so the load at {loop.body[wide[0]].address:#06x} may "
            "have another address in each lane"
        )


def _elements(
    body: Sequence[Instruction], loads: Iterable[int], size: int, what: str, where: str
) -> int:
    """How many elements of `size` bytes these loads bring to a thread."""
    total = 0
    for number in loads:
        if body[number].width % size:
            raise ToolchainError(
                f"{where}: {body[number].opcode} is no load of {what} of {size} bytes"
            )
        total += body[number].width // size
    return total


def _widths(body: Sequence[Instruction], loads: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted({body[number].width for number in loads}))


def _wavefronts(access: Instruction) -> int:
    """Of a warp whose lanes access neighbouring elements from a multiple of 128 bytes on."""
    return -(-_WARP * access.width // _WAVEFRONT_BYTES)
