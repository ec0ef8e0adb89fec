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
_NARROW = 8
"""Threads of a neuron in tiles of 32 rows."""

_INSTRUCTION_BYTES = 16


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
        """L1 wavefronts of a warp for an edge of 32 rows, if the warp computes one neuron."""
        return self.wavefronts / self.row_edges

    @property
    def narrow_wavefronts_per_edge(self) -> float:
        """The same for a warp that computes four neurons with eight threads each, at most.

        Each load has four addresses, which need not be in the same 128 bytes.
        """
        neurons = _WARP // _NARROW
        uniform = (neurons - 1) * (self.index_loads + self.other_loads)
        width = max(self.activation_bytes)
        narrow = neurons * -(-_NARROW * width // _WAVEFRONT_BYTES)
        wide = -(-_WARP * width // _WAVEFRONT_BYTES)
        return (
            self.wavefronts + uniform + self.activation_loads * (narrow - wide)
        ) / self.row_edges


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
        roles = classify_loads(loop.body)
        if roles.activations:
            location = f"{name}, loop at {loop.body[0].address:#06x}"
            counts = _counts(loop, roles, value_bytes, index_bytes, whole, location)
            if counts.rows not in main or counts.edges > main[counts.rows].edges:
                main[counts.rows] = counts
    if not main:
        raise ToolchainError(
            f"{name}: no innermost loop loads from an address that depends on a loaded index; "
            "adapt bench/resources to the compiler's code"
        )
    return tuple(main[rows] for rows in sorted(main, reverse=True))


def _counts(
    loop: Loop, roles: Roles, value_bytes: int, index_bytes: int, whole: bool, location: str
) -> LoopCounts:
    body = loop.body
    _check_body(loop, roles, location)
    values = _elements(body, roles.activations, value_bytes, "activations", location)
    indices = _elements(body, roles.indices, index_bytes, "indices", location)
    sums = values if whole else len(roles.sums)
    if not sums:
        raise ToolchainError(f"{location}: no instruction adds the activations")
    if sums % values:
        raise ToolchainError(
            f"{location}: {sums} additions for {values} activations, not an integer ratio"
        )
    if values % indices:
        raise ToolchainError(
            f"{location}: {values} activations for {indices} indices, not an integer ratio"
        )
    overlapping = overlap(body, frozenset(roles.activations))
    uniform = frozenset(roles.indices) | frozenset(roles.others)
    return LoopCounts(
        edges=indices * (sums // values),
        rows=values // indices,
        instructions=len(body),
        spills=sum(instruction.is_local for instruction in body),
        activation_loads=len(roles.activations),
        activation_bytes=_widths(body, roles.activations),
        index_loads=len(roles.indices),
        index_bytes=_widths(body, roles.indices),
        other_loads=len(roles.others),
        in_flight=overlapping.max_in_flight,
        latencies=overlapping.latencies,
        wavefronts=sum(
            1 if number in uniform and not instruction.is_local else _wavefronts(instruction)
            for number, instruction in enumerate(body)
            if instruction.is_load or instruction.is_store
        ),
    )


def _leaves(instruction: Instruction, loop: Loop) -> bool:
    """Whether an instruction calls a function. A CALL of the instruction after the loop is how
    some compilers exit a long loop."""
    if instruction.name == "CALL":
        return instruction.operands[-1] != f"{loop.body[-1].address + _INSTRUCTION_BYTES:#x}"
    return instruction.name in ("JMP", "BRX")


def _check_body(loop: Loop, roles: Roles, location: str) -> None:
    """Raise ToolchainError if the counts of this loop would be wrong."""
    if loop.skips:
        raise ToolchainError(
            f"{location}: the branch at {loop.skips[0]:#06x} skips instructions of the body, so "
            "they cannot be counted"
        )
    if any(_leaves(instruction, loop) for instruction in loop.body):
        raise ToolchainError(
            f"{location}: the body calls a function, whose instructions are not counted"
        )
    if frozenset(roles.indices) & frozenset(roles.activations):
        raise ToolchainError(f"{location}: an address depends on an activation")
    if roles.other_sums:
        raise ToolchainError(
            f"{location}: the addition at {loop.body[roles.other_sums[0]].address:#06x} "
            "adds no activation"
        )
    shuffled = any(instruction.name == "SHFL" for instruction in loop.body)
    wide_loads = [n for n in (*roles.indices, *roles.others) if loop.body[n].width > 4]
    if shuffled and wide_loads:
        raise ToolchainError(
            f"{location}: lanes exchange values, so the load at "
            f"{loop.body[wide_loads[0]].address:#06x} may have another address in each lane"
        )


def _elements(
    body: Sequence[Instruction], loads: Iterable[int], size: int, operand: str, location: str
) -> int:
    """Return the number of elements of `size` bytes that these loads bring to a thread."""
    total = 0
    for number in loads:
        if body[number].width % size:
            raise ToolchainError(
                f"{location}: {body[number].opcode} does not load whole {operand} of {size} bytes"
            )
        total += body[number].width // size
    return total


def _widths(body: Sequence[Instruction], loads: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted({body[number].width for number in loads}))


def _wavefronts(access: Instruction) -> int:
    """Return the wavefronts of a warp that accesses consecutive elements, aligned to 128 bytes."""
    return -(-_WARP * access.width // _WAVEFRONT_BYTES)
