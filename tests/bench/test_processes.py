"""Worker processes in the Python of another environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.processes import Worker


def test_a_worker_runs_in_the_named_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\nread request\n"
        """echo '{"words": "'"$*"'", "path": "'"$PYTHONPATH"'", "threads": '$OMP_NUM_THREADS'}'\n"""
        "read request\n"
    )
    python.chmod(0o755)
    monkeypatch.setenv("PYTHONPATH", "/packages/of/this/environment")
    worker = Worker("bench.some_worker", ("folder",), 3, {}, str(python))
    try:
        answer = worker.request({"do": "run"}, 60)
    finally:
        worker.close()
    root = Path(__file__).parents[2]
    assert answer == {"words": "-m bench.some_worker folder", "path": str(root), "threads": 3}
