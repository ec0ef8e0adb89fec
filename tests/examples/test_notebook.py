"""The notebooks run, and show what is committed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

import nbformat
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[2] / "examples"

TIMES = r"[\d.]+(e[+-]\d+)? (s|edges/s)\b"
"""Times and rates, which differ from run to run."""


def outputs(notebook: Any) -> list[list[str]]:
    """The text that each code cell shows, with T for times."""
    return [
        [re.sub(TIMES, r"T \2", each["data"]["text/plain"]) for each in cell.outputs]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def run(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """Return a notebook as it is committed, and after a run."""
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parent))
    committed = nbformat.read(EXAMPLES / name, as_version=4)
    notebook = nbformat.read(EXAMPLES / name, as_version=4)
    folder = {"metadata": {"path": str(EXAMPLES)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=folder).execute()
    return committed, notebook


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_workunits(monkeypatch: pytest.MonkeyPatch) -> None:
    committed, notebook = run("workunits.ipynb", monkeypatch)
    assert outputs(notebook) == outputs(committed)
    assert sum(map(len, outputs(committed))) == 4


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_inference(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib", reason="the last cell draws a figure")
    committed, notebook = run("inference.ipynb", monkeypatch)
    # The bar of a run that takes longer than a second is an output of its own, which is empty.
    shown = [[text for text in cell if text] for cell in outputs(notebook)]
    assert shown == outputs(committed)
    assert sum(map(len, shown)) == 7
    results = [cell.outputs[-1].data for cell in notebook.cells if cell.get("outputs")]
    tables = [re.findall("<caption>(.*?)[ <]", each.get("text/html", "")) for each in results]
    assert tables == [["Network"], ["Inputs"], ["Result"], [], [], ["Record"], []]
    assert "image/png" in results[-1]


def test_times_are_replaced() -> None:
    text = "<Result 73 categories of 2,000 rows: 0.0326 s, 4.83e+10 edges/s, not verified>"
    expected = "<Result 73 categories of 2,000 rows: T s, T edges/s, not verified>"
    assert re.sub(TIMES, r"T \2", text) == expected
