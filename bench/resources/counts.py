"""Instructions, loads and latencies of one iteration of a loop over edges."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.resources.dataflow import Roles, classify_loads
from bench.resources.latency import overlap
from bench.resources.loops import Loop, innermost_loops
from bench.resources.sass import Instruction
from kkspdnn.errors import ToolchainError

_WAVEFRONT_BYTES = 128
_WARP = 32


@dataclass(frozen=True)
class LoopCounts:
    """One iteration of the loop over edges, as a thread sees it.

    edges: edges of the network; rows: input rows per edge, also called lanes
    instructions: in the body, including the branch; spills: loads and stores of local memory
    activation_loads, index_loads, other_loads: numbers of loads; other loads are of weights
    activation_bytes, index_bytes: distinct widths of these loads, in bytes per thread
    in_flight: maximum number of activation loads that a warp issues before it waits for one
    latencies: number of load latencies in sequence, see `latency.Overlap`
    wavefronts: L1 wavefronts of the loads and stores of a warp
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
        """Edges times rows: the number of multiply-adds, or additions, of a thread."""
        return self.edges * self.rows

    @property
    def loads(self) -> int:
        """The number of loads of an iteration."""
        return self.activation_loads + self.index_loads + self.other_loads

    @property
    def mean_in_flight(self) -> float:
        """The mean number of loads in flight while a warp waits for loads."""
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
    """Return the counts of the main loops over edges, one per number of rows of a thread.

    The loop with the most rows comes first. Of several loops with the same rows, the main one has
    the most edges per iteration; the others compute the remaining edges.

    value_bytes, index_bytes: sizes of an activation and of an index
    whole: activations are integers, so the compiler may add three of them with one instruction
    name: of the kernel, for messages

    Raises ToolchainError if no loop loads activations by index, or a loop cannot be counted.
    """
    main: dict[int, LoopCounts] = {}
    for loop in innermost_loops(function):
        found = classify_loads(loop.body)
        if found.activations:
            where = f"{name}, loop at {loop.body[0].address:#06x}"
            counts = _counts(loop, found, value_bytes, index_bytes, whole, where)
            if counts.rows not in main or counts.edges > main[counts.rows].edges:
                main[counts.rows] = counts
    if not main:
        raise ToolchainError(
            f"{name}: no innermost loop loads from an address that depends on a loaded index; "
            "adapt bench/resources to the compiler's code"
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
        raise ToolchainError(f"{where}: no instruction adds the activations")
    if sums % values:
        raise ToolchainError(
            f"{where}: {sums} additions for {values} activations, not a whole number per activation"
        )
    if values % indices:
        raise ToolchainError(
            f"{where}: {values} activations for {indices} indices, not a whole number per index"
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
        in_flight=overlapping.max_in_flight,
        latencies=overlapping.latencies,
        wavefronts=sum(
            1 if number in uniform and not each.is_local else _wavefronts(each)
            for number, each in enumerate(body)
            if each.is_load or each.is_store
        ),
    )


def _check_body(loop: Loop, found: Roles, where: str) -> None:
    """Raise ToolchainError if the counts of this loop would be wrong."""
    if loop.skips:
        raise ToolchainError(
            f"{where}: the branch at {loop.skips[0]:#06x} skips instructions of the body, so they "
            "cannot be counted"
        )
    if any(each.name in ("CALL", "JMP", "BRX") for each in loop.body):
        raise ToolchainError(
            f"{where}: the body calls a function, whose instructions are not counted"
        )
    if frozenset(found.indices) & frozenset(found.activations):
        raise ToolchainError(f"{where}: an address depends on an activation")
    if found.other_sums:
        raise ToolchainError(
            f"{where}: the sum at {loop.body[found.other_sums[0]].address:#06x} adds no activation"
        )
    shuffled = any(each.name == "SHFL" for each in loop.body)
    wide_loads = [n for n in (*found.indices, *found.others) if loop.body[n].width > 4]
    if shuffled and wide_loads:
        raise ToolchainError(
            f"{where}: lanes exchange values, so the load at "
            f"{loop.body[wide_loads[0]].address:#06x} may have another address in each lane"
        )


def _elements(
    body: Sequence[Instruction], loads: Iterable[int], size: int, operand: str, where: str
) -> int:
    """Return the number of elements of `size` bytes that these loads bring to a thread."""
    total = 0
    for number in loads:
        if body[number].width % size:
            raise ToolchainError(
                f"{where}: {body[number].opcode} does not load whole {operand} of {size} bytes"
            )
        total += body[number].width // size
    return total


def _widths(body: Sequence[Instruction], loads: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted({body[number].width for number in loads}))


def _wavefronts(access: Instruction) -> int:
    """Return the wavefronts of a warp that accesses consecutive elements, aligned to 128 bytes."""
    return -(-_WARP * access.width // _WAVEFRONT_BYTES)
