"""What the loads of a loop are for: followed through the registers of its body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.resources.sass import Instruction

_SUMS = frozenset({"FADD", "FFMA", "DADD", "DFMA"})

_Origins = Mapping[str, frozenset[int]]
"""By register: the loads, as positions in the body, whose values its value was made of."""


@dataclass(frozen=True)
class Roles:
    """Positions in the body of a loop.

    activations: loads whose address was made of a loaded value
    indices: the loads that such addresses were made of
    others: all other loads, such as those of weights
    sums: additions and fused multiply-adds of float32 or float64 that take a value made of an
    activation; other_sums: those that do not
    """

    activations: tuple[int, ...]
    indices: tuple[int, ...]
    others: tuple[int, ...]
    sums: tuple[int, ...]
    other_sums: tuple[int, ...]


def roles(body: Sequence[Instruction]) -> Roles:
    """What the loads and the sums of a loop are.

    A value may come from the iteration before, as in software pipelines, so the body is followed
    again until nothing changes.
    """
    before: dict[str, frozenset[int]] = {}
    while True:
        after = dict(before)
        addresses = _follow(body, after)
        both = {r: before.get(r, frozenset()) | made_of for r, made_of in after.items()}
        if both == before:
            break
        before = both
    activations = tuple(n for n, made_of in addresses.items() if made_of)
    indices = tuple(sorted({each for made_of in addresses.values() for each in made_of}))
    others = tuple(n for n in addresses if n not in activations and n not in indices)
    sums = _sums(body, before, frozenset(activations))
    other_sums = tuple(n for n, e in enumerate(body) if e.name in _SUMS and n not in sums)
    return Roles(activations, indices, others, sums, other_sums)


def _follow(
    body: Sequence[Instruction], state: dict[str, frozenset[int]]
) -> dict[int, frozenset[int]]:
    """Take `state` through the body; gives what the address of each load was made of."""
    addresses = {}
    for number, each in enumerate(body):
        if _is_source(each):
            addresses[number] = _made_of(state, each.address_registers)
        _step(state, number, each)
    return addresses


def _step(state: dict[str, frozenset[int]], number: int, each: Instruction) -> None:
    made_of = frozenset({number}) if _is_source(each) else _made_of(state, each.reads)
    for register in each.writes:
        kept = state.get(register, frozenset()) if each.guard is not None else frozenset()
        state[register] = made_of | kept


def _is_source(each: Instruction) -> bool:
    """Does it load from an array? Local memory has what was spilled, such as addresses."""
    return each.is_load and not each.is_local


def _made_of(state: _Origins, registers: frozenset[str]) -> frozenset[int]:
    return frozenset().union(*(state.get(each, frozenset()) for each in registers))


def _sums(
    body: Sequence[Instruction], before: _Origins, activations: frozenset[int]
) -> tuple[int, ...]:
    state, found = dict(before), []
    for number, each in enumerate(body):
        if each.name in _SUMS and _made_of(state, each.reads) & activations:
            found.append(number)
        _step(state, number, each)
    return tuple(found)
