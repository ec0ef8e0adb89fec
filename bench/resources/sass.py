"""The text of `cuobjdump -sass`: instructions of each function, and the registers that each of them
reads and writes (sm_70 to sm_90)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

_FUNCTION = re.compile(r"^\s*Function : (\S+)\s*$")
_INSTRUCTION = re.compile(
    r"^\s*/\*([0-9a-f]{4,})\*/\s+(?:@(!?U?P\w+)\s+)?([A-Z][\w.]*)\s*([^;]*?)\s*;"
)
_REGISTER = re.compile(r"(?<!\w)(U?R)(\d+)(\.64)?")
_PREDICATE = re.compile(r"!?U?P(T|\d+)$")

_LOADS = frozenset({"LDG", "LD", "LDS", "LDL"})
_STORES = frozenset({"STG", "ST", "STS", "STL", "RED"})
_CONSTANTS = frozenset({"LDC", "ULDC", "LDCU"})
_NO_RESULT = _STORES | {"BRA", "BAR", "BSSY", "BSYNC", "CALL", "EXIT", "RET", "WARPSYNC"}

_WIDTHS = {"U8": 1, "S8": 1, "U16": 2, "S16": 2, "64": 8, "128": 16, "256": 32}
"""Modifiers of memory instructions to bytes a thread; without one of them it is 4."""


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    address: its offset in the function, in bytes
    guard: the predicate under which it runs, `!P0`; None where it always runs
    opcode: with its modifiers, `LDG.E.U16`
    operands: as printed, the result first
    """

    address: int
    guard: str | None
    opcode: str
    operands: tuple[str, ...]

    @property
    def name(self) -> str:
        """The opcode without modifiers."""
        return self.opcode.partition(".")[0]

    @property
    def is_load(self) -> bool:
        """Does it load from global, shared or local memory? Constant banks do not count."""
        return self.name in _LOADS

    @property
    def is_store(self) -> bool:
        """Does it write to global, shared or local memory?"""
        return self.name in _STORES

    @property
    def is_local(self) -> bool:
        """Does it access local memory, as register spills do?"""
        return self.name in ("LDL", "STL")

    @property
    def width(self) -> int:
        """Bytes that each thread loads or stores."""
        return next((_WIDTHS[m] for m in self._modifiers if m in _WIDTHS), 4)

    @property
    def target(self) -> int | None:
        """Where a branch inside the function goes; None for other instructions."""
        if self.name != "BRA" or not self.operands:
            return None
        place = self.operands[-1]
        return int(place, 16) if re.fullmatch(r"0x[0-9a-f]+", place) else None

    @cached_property
    def writes(self) -> frozenset[str]:
        """The registers that it writes, `R4` or `UR4`; predicates do not count."""
        result = self._result
        if result is None:
            return frozenset()
        return _named(self.operands[result], self._result_registers)

    @cached_property
    def reads(self) -> frozenset[str]:
        """The registers that it reads; predicates do not count."""
        found: set[str] = set()
        for number, operand in enumerate(self.operands):
            if number != self._result:
                found |= _named(operand, self._source_registers(number))
        return frozenset(found)

    @cached_property
    def address_registers(self) -> frozenset[str]:
        """The registers in the address of a load, without its descriptor."""
        place = next((o for o in self.operands if "[" in o), "")
        return _named(place[place.rfind("[") :], 1)

    @property
    def _modifiers(self) -> list[str]:
        return self.opcode.split(".")[1:]

    @property
    def _result(self) -> int | None:
        """Which operand is the result: the first that is no predicate."""
        if self.name in _NO_RESULT or self.name.endswith("SETP") or self.name.endswith("PLOP3"):
            return None
        for number, operand in enumerate(self.operands):
            if not _PREDICATE.match(operand):
                return number
        return None

    @property
    def _is_double(self) -> bool:
        return self.name in ("DADD", "DFMA", "DMUL", "DMNMX", "DSETP")

    @property
    def _result_registers(self) -> int:
        if self.is_load or self.name in _CONSTANTS:
            return max(1, self.width // 4)
        converts_to = self._modifiers[:1] == ["F64"] and self.name in ("F2F", "I2F", "I2FP")
        wide = "WIDE" in self._modifiers or (self.name == "CS2R" and "32" not in self._modifiers)
        return 2 if wide or converts_to or self._is_double else 1

    def _source_registers(self, number: int) -> int:
        if self.is_store and "[" not in self.operands[number]:
            return max(1, self.width // 4)
        converts_from = "F64" in self._modifiers[(self.name == "F2F") :] and self.name in (
            *("F2F", "F2I"),
        )
        # The addend of a wide multiplication has 64 bits as well.
        addend = "WIDE" in self._modifiers and number == len(self.operands) - 1
        return 2 if addend or converts_from or self._is_double else 1


def _named(operand: str, registers: int) -> frozenset[str]:
    """The registers of an operand; `registers` of them from each that is named in it."""
    return frozenset(
        f"{kind}{int(first) + n}"
        for kind, first, pair in _REGISTER.findall(operand)
        for n in range(2 if pair else registers)
    )


def functions(text: str) -> dict[str, tuple[Instruction, ...]]:
    """The functions in the output of `cuobjdump -sass`, by their mangled names."""
    found: dict[str, list[Instruction]] = {}
    body: list[Instruction] | None = None
    for line in text.splitlines():
        if (head := _FUNCTION.match(line)) is not None:
            body = found.setdefault(head[1], [])
        elif body is not None and (match := _INSTRUCTION.match(line)) is not None:
            address, guard, opcode, operands = match.groups()
            words = tuple(o.strip() for o in operands.split(",")) if operands else ()
            body.append(Instruction(int(address, 16), guard, opcode, words))
    return {name: tuple(body) for name, body in found.items()}
