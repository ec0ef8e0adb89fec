"""`python -m bench.reading`: a small measurement and its record."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.reading", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_small_measurement(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    done = bench("--neurons", "32", "--json", str(path))
    assert done.returncode == 0, done.stderr
    record = json.loads(path.read_text())
    assert (record["neurons"], record["edges"], record["cores_used"]) == (32, 1024, 1)
    for method in ("text", "gz", "cached_text", "cached_gz", "binary"):
        assert f"\n{method}" in done.stdout
        assert len(record[f"{method}_samples"]) == 5
        rate = record["edges"] / record[f"{method}_seconds"]
        assert record[f"{method}_edges_per_second"] == pytest.approx(rate)
    assert record["text_bytes"] > record["gz_bytes"]
    assert record["command"] == f"python -m bench.reading --neurons 32 --json {path}"
    assert record["kind"] == "kkspdnn-reading/1"
    assert record["machine"]
    assert record["versions"]["kkspdnn"]


@pytest.mark.slow
def test_errors_are_one_line(tmp_path: Path) -> None:
    done = bench("--neurons", "1000")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("kkspdnn: 1000 neurons: a RadiX-Net has")
    assert done.stderr.count("\n") == 1
    done = bench("--json", str(tmp_path / "no" / "record.json"))
    assert done.returncode == 2
    assert "make it first" in done.stderr
