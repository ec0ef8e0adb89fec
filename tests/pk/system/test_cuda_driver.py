"""Devices that the driver lists, with a fake driver library."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import kkspdnn

LISTING = """
from kkspdnn.pk.system.cuda_driver import devices
for each in devices():
    print(each.number, each.name, each.arch, each.uuid[-2:])
"""
INFO = "from kkspdnn.cli.findings import _cuda; print(*(f'{f.name}: {f.text}' for f in _cuda()))"


def output(driver: Path, script: str, **variables: str) -> str:
    """Return the output of a script that runs with this driver and, by default, three GPUs."""
    inherited = {name: text for name, text in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    home = str(Path(kkspdnn.__file__).parents[1])
    paths = {"PYTHONPATH": home, "LD_LIBRARY_PATH": str(driver), "FAKE_GPUS": "0,1,2"}
    return subprocess.run(
        [sys.executable, "-c", script],
        env={**inherited, **paths, **variables},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.parametrize(
    ("variables", "listed"),
    [
        ({}, "0 Fake GPU A sm_90 00\n1 Fake GPU B sm_90 01\n2 Fake GPU C sm_90 02\n"),
        ({"CUDA_VISIBLE_DEVICES": "2,0"}, "0 Fake GPU C sm_90 02\n1 Fake GPU A sm_90 00\n"),
        ({"CUDA_VISIBLE_DEVICES": ""}, ""),
        ({"FAKE_GPUS": ""}, ""),
    ],
)
def test_the_devices_of_a_process(
    fake_driver: Path, variables: dict[str, str], listed: str
) -> None:
    assert output(fake_driver, LISTING, **variables) == listed


def test_info_lists_every_device(fake_driver: Path) -> None:
    listed = "device: 0: Fake GPU A, sm_90; 1: Fake GPU B, sm_90; 2: Fake GPU C, sm_90 "
    assert listed in output(fake_driver, INFO)
