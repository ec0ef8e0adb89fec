"""Lines of C++ with `#line` directives to the Python source."""

from __future__ import annotations

import json


class Writer:
    """Collects indented lines, with a `#line` before each line that is not from the next Python
    line.

    position: the file and line that the compiler assumes for the next line, None in the C++ file
    itself
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.depth = 0
        self.position: tuple[str, int] | None = None

    def put(self, text: str = "") -> None:
        """Add one line."""
        self.lines.append("  " * self.depth + text if text else "")
        if self.position is not None:
            self.position = (self.position[0], self.position[1] + 1)

    def open(self, text: str = "") -> None:
        """Add a line that opens a block."""
        self.put(f"{text} {{" if text else "{")
        self.depth += 1

    def close(self, text: str = "}") -> None:
        """Add a line that closes a block."""
        self.depth -= 1
        self.put(text)

    def reopen(self, text: str) -> None:
        """Add a line that closes a block and opens the next, such as `} else {`."""
        self.close(text)
        self.depth += 1

    def at(self, path: str, line: int) -> None:
        """The next line comes from this line of a Python file."""
        if self.position != (path, line):
            self.lines.append(f"#line {line} {json.dumps(path)}")
            self.position = (path, line)

    def in_generated_file(self) -> None:
        """The next line comes from no Python file."""
        self.lines.append(f'#line {len(self.lines) + 2} "workunit.cpp"')
        self.position = None

    def text(self) -> str:
        """All lines."""
        return "\n".join(self.lines) + "\n"
