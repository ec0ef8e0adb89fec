"""Machine code for tests: from lines of text, or from files with output of cuobjdump."""

from __future__ import annotations

from pathlib import Path

from bench.resources.sass import Instruction, functions

EXCERPTS = Path(__file__).with_name("sass")


def code(text: str) -> tuple[Instruction, ...]:
    """Parse one instruction per line, at addresses 0x0, 0x10 and so on."""
    lines = [line.strip() for line in text.strip().splitlines()]
    body = [f"        /*{16 * n:04x}*/      {line} ;" for n, line in enumerate(lines)]
    return functions("Function : f\n" + "\n".join(body))["f"]


def one(text: str) -> Instruction:
    return code(text)[0]
