"""Debug mode does not change the values of the engines' workunits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

RUN = ("--neurons", "1024", "--layers", "120", "--inputs", "2000", "--verify", "full")


def run(debug: str, kernel: str, outputs: Path) -> np.ndarray:
    """Run a network in a new process; return the activations after the last layer."""
    command = [sys.executable, "-m", "kkspdnn", *RUN, "--kernel", kernel, "--outputs", str(outputs)]
    environment = {**os.environ, "KKSPDNN_DEBUG": debug}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return np.load(outputs)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["fused", "spgemm"])
def test_a_run_has_the_same_values(kernel: str, tmp_path: Path) -> None:
    plain = run("0", kernel, tmp_path / "plain.npy")
    checked = run("1", kernel, tmp_path / "checked.npy")
    assert plain.any()
    np.testing.assert_array_equal(checked, plain)
