"""The notebook runs, and shows what is committed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "examples" / "workunits.ipynb"


def outputs(notebook: Any) -> list[list[str]]:
    """The text that each code cell shows."""
    return [
        [each["data"]["text/plain"] for each in cell.outputs]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_notebook() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    committed = outputs(notebook)
    folder = {"metadata": {"path": str(NOTEBOOK.parent)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=folder).execute()
    assert outputs(notebook) == committed
    assert sum(map(len, committed)) == 4
