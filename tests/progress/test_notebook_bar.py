"""The bar in the output of a cell."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from notebook_cells import run_cells

from kkspdnn.progress import display

CELLS = (
    "import kkspdnn.progress.bar\n"
    "from kkspdnn.progress import open_progress\n"
    "kkspdnn.progress.bar._DELAY = 0.2",
    """
import threading, time
from kkspdnn.pk.system.progress_log import log_progress
with open_progress(True) as on_step:
    on_step("packing", 0.0)
    time.sleep(0.5)
    on_step("a < b", 0.25)
    threads = [
        threading.Thread(target=log_progress, args=(f"compiling {n} of 4", n, 4)) for n in (1, 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("done")
log_progress("after the end")
""",
    "with open_progress(True) as on_step:\n    time.sleep(0.5)\n    1 / 0",
    "with open_progress(True) as on_step:\n    on_step('short', 0.5)",
)


@pytest.mark.slow
def test_the_bar_appears_is_updated_and_leaves_nothing() -> None:
    cells = run_cells(*CELLS)
    assert cells.texts(0) == []
    assert cells.texts(1) == ["", "done\n"]
    assert cells.texts(2) == ["", "ZeroDivisionError: division by zero"]
    assert cells.texts(3) == []
    assert cells.outputs[1][0].data["text/html"] == ""
    shown = [each["content"]["data"] for each in cells.messages if "data" in each["content"]]
    bars = [each["text/html"] for each in shown]
    assert bars[0] == "<progress></progress> packing 0:00"
    assert bars[1] == '<progress value="0.250"></progress> a &lt; b 0:00'
    assert sorted(bars[2:4]) == [
        '<progress value="0.250"></progress> compiling 1 of 4 0:00',
        '<progress value="0.500"></progress> compiling 2 of 4 0:00',
    ]
    assert bars[4] == ""
    assert [each["name"] for each in (m["content"] for m in cells.messages) if "name" in each] == [
        "stdout"
    ]


@pytest.mark.parametrize(
    ("shell", "expected"),
    [(None, False), (SimpleNamespace(), False), (SimpleNamespace(kernel=None), True)],
    ids=["no shell", "a terminal's shell", "a kernel's shell"],
)
def test_a_notebook_is_recognized(
    shell: object, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert display.is_notebook() == expected


def test_without_ipython_there_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not display.is_notebook()
