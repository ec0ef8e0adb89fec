"""Data-flow analysis of a loop body: which loads read activations, indices and weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.resources.sass import Instruction

_SUMS = frozenset({"FADD", "FFMA", "DADD", "DFMA"})

_Origins = Mapping[str, frozenset[int]]
"""For each register, the loads that its value depends on, as positions in the body."""


@dataclass(frozen=True)
class Roles:
    """Instructions of a loop by their purpose, as positions in the body.

    activations: loads whose address depends on a loaded value
    indices: loads that these addresses depend on
    others: all other loads, for example of weights
    sums: float32 or float64 additions and fused multiply-adds of a value that depends on an
    activation; other_sums: the remaining additions
    """

    activations: tuple[int, ...]
    indices: tuple[int, ...]
    others: tuple[int, ...]
    sums: tuple[int, ...]
    other_sums: tuple[int, ...]


def classify_loads(body: Sequence[Instruction]) -> Roles:
    """Classify the loads and additions of a loop body.

    A value may come from the previous iteration, as in software pipelines. So the analysis repeats
    the body until nothing changes.
    """
    before: dict[str, frozenset[int]] = {}
    while True:
        after = dict(before)
        addresses = _follow(body, after)
        merged = {r: before.get(r, frozenset()) | origins for r, origins in after.items()}
        if merged == before:
            break
        before = merged
    activations = tuple(n for n, origins in addresses.items() if origins)
    indices = tuple(sorted({load for origins in addresses.values() for load in origins}))
    others = tuple(n for n in addresses if n not in activations and n not in indices)
    sums = _sums(body, before, frozenset(activations))
    other_sums = tuple(n for n, e in enumerate(body) if e.name in _SUMS and n not in sums)
    return Roles(activations, indices, others, sums, other_sums)


def _follow(
    body: Sequence[Instruction], state: dict[str, frozenset[int]]
) -> dict[int, frozenset[int]]:
    """Update `state` along the body; return the loads that the address of each load depends on."""
    addresses = {}
    for number, instruction in enumerate(body):
        if _is_source(instruction):
            addresses[number] = _origins(state, instruction.address_registers)
        _step(state, number, instruction)
    return addresses


def _step(state: dict[str, frozenset[int]], number: int, instruction: Instruction) -> None:
    is_source = _is_source(instruction)
    origins = frozenset({number}) if is_source else _origins(state, instruction.reads)
    guarded = instruction.guard is not None
    for register in instruction.writes:
        # A guarded instruction may leave the old value in the register.
        previous = state.get(register, frozenset()) if guarded else frozenset()
        state[register] = origins | previous


def _is_source(instruction: Instruction) -> bool:
    """Whether it loads from an array; local memory holds spilled registers, not arrays."""
    return instruction.is_load and not instruction.is_local


def _origins(state: _Origins, registers: frozenset[str]) -> frozenset[int]:
    return frozenset().union(*(state.get(register, frozenset()) for register in registers))


def _sums(
    body: Sequence[Instruction], before: _Origins, activations: frozenset[int]
) -> tuple[int, ...]:
    state, sums = dict(before), []
    for number, instruction in enumerate(body):
        if instruction.name in _SUMS and _origins(state, instruction.reads) & activations:
            sums.append(number)
        _step(state, number, instruction)
    return tuple(sums)
