"""Running the cells of a notebook in a kernel of its own."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import pytest


@dataclass
class Cells:
    """The result of `run_cells`.

    outputs: of each cell, as in the file of a notebook
    messages: those that the kernel sent for displays, results and errors, with the updates
    """

    outputs: list[list[Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)

    def texts(self, cell: int) -> list[str]:
        """What a cell shows as text; of an error, its type and message."""
        return [_text(each) for each in self.outputs[cell]]


def _text(output: Any) -> str:
    if output.output_type == "error":
        return f"{output.ename}: {output.evalue}"
    return str(output.text if output.output_type == "stream" else output.data["text/plain"])


def run_cells(*sources: str) -> Cells:
    """Run cells, all of them, in a new kernel. Skips the test if there are no notebooks here."""
    for package in ("nbclient", "ipykernel"):
        pytest.importorskip(package, reason=f"needs {package} to run a notebook")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import nbformat
        from nbclient import NotebookClient

        cells = Cells()

        class Client(NotebookClient):  # type: ignore[misc]
            """Keeps the messages of the kernel."""

            def process_message(self, message: Any, cell: Any, index: int) -> Any:
                if message["msg_type"] != "status":
                    cells.messages.append(message)
                return super().process_message(message, cell, index)

        new = nbformat.v4
        notebook = new.new_notebook(cells=[new.new_code_cell(source) for source in sources])
        Client(notebook, timeout=300, kernel_name="python3", allow_errors=True).execute()
    cells.outputs = [cell.outputs for cell in notebook.cells]
    return cells
