"""`python -m bench.gpu profile`: hardware counters of a launch of each fused kernel, with ncu."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

_SHOWN = re.compile(
    r"^  [^ ]|Duration|Throughput|Hit Rate|Registers|Achieved Occ|Executed Ipc|Bank|Wavefronts|"
    r"Stall|Eligible|ERROR"
)
"""Lines of ncu's details to print: names of kernels, and metrics that show what limits them."""


def command(arguments: argparse.Namespace) -> int:
    """Write profile.ncu-rep and profile.txt into the folder of records, and print key metrics."""
    folder: Path = arguments.records or Path()
    report = folder / "profile.ncu-rep"
    target = [sys.executable, "-m", "bench.gpu", "profiled", "--space", arguments.space]
    # Do not lock the clocks: the GPU may be shared.
    collect = ["ncu", "--clock-control", "none", "--profile-from-start", "off", "--set", "full"]
    collect += ["--force-overwrite", "--target-processes", "all", "-o", str(report.with_suffix(""))]
    done = subprocess.run([*collect, *target], check=False)
    if not report.is_file():
        print(f"FAIL: ncu wrote no report, exit code {done.returncode}")
        return 1
    show = ["ncu", "--import", str(report), "--page", "details", "--print-units", "base"]
    details = subprocess.run(show, capture_output=True, text=True, check=False).stdout
    (folder / "profile.txt").write_text(details, encoding="utf-8")
    for line in details.splitlines():
        if _SHOWN.search(line):
            print(line)
    return 1 if done.returncode else 0
