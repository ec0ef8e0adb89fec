"""Parse the output of `cuobjdump -sass` (sm_70 to sm_90): instructions and their registers."""

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
"""Bytes per thread of a memory instruction by its modifier; 4 without one of these."""


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    address: offset in the function, in bytes
    guard: predicate of its execution, such as `!P0`; None if it always runs
    opcode: with modifiers, such as `LDG.E.U16`
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
        """Whether it loads from global, shared or local memory, but not from constant banks."""
        return self.name in _LOADS

    @property
    def is_store(self) -> bool:
        """Whether it writes to global, shared or local memory."""
        return self.name in _STORES

    @property
    def is_local(self) -> bool:
        """Whether it accesses local memory, as register spills do."""
        return self.name in ("LDL", "STL")

    @property
    def width(self) -> int:
        """The number of bytes that a thread loads or stores."""
        return next((_WIDTHS[m] for m in self._modifiers if m in _WIDTHS), 4)

    @property
    def target(self) -> int | None:
        """The target address of a branch inside the function; None for other instructions."""
        if self.name != "BRA" or not self.operands:
            return None
        address = self.operands[-1]
        return int(address, 16) if re.fullmatch(r"0x[0-9a-f]+", address) else None

    @cached_property
    def writes(self) -> frozenset[str]:
        """The registers that it writes, such as `R4` or `UR4`, without predicates."""
        result = self._result
        if result is None:
            return frozenset()
        return _registers(self.operands[result], self._result_registers)

    @cached_property
    def reads(self) -> frozenset[str]:
        """The registers that it reads, without predicates."""
        registers: set[str] = set()
        for number, operand in enumerate(self.operands):
            if number != self._result:
                registers |= _registers(operand, self._source_registers(number))
        return frozenset(registers)

    @cached_property
    def address_registers(self) -> frozenset[str]:
        """The registers of the address of a load, without its descriptor."""
        address = next((o for o in self.operands if "[" in o), "")
        return _registers(address[address.rfind("[") :], 1)

    @property
    def _modifiers(self) -> list[str]:
        return self.opcode.split(".")[1:]

    @property
    def _result(self) -> int | None:
        """The position of the result: the first operand that is not a predicate."""
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


def _registers(operand: str, width: int) -> frozenset[str]:
    """Return the registers of an operand; each name stands for `width` consecutive registers."""
    return frozenset(
        f"{prefix}{int(first) + n}"
        for prefix, first, pair in _REGISTER.findall(operand)
        for n in range(2 if pair else width)
    )


def functions(text: str) -> dict[str, tuple[Instruction, ...]]:
    """Return the functions in the output of `cuobjdump -sass`, by their mangled names."""
    bodies: dict[str, list[Instruction]] = {}
    body: list[Instruction] | None = None
    for line in text.splitlines():
        if (head := _FUNCTION.match(line)) is not None:
            body = bodies.setdefault(head[1], [])
        elif body is not None and (match := _INSTRUCTION.match(line)) is not None:
            address, guard, opcode, operands = match.groups()
            words = tuple(o.strip() for o in operands.split(",")) if operands else ()
            body.append(Instruction(int(address, 16), guard, opcode, words))
    return {name: tuple(body) for name, body in bodies.items()}
