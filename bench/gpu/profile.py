"""`python -m bench.gpu profile`: hardware counters of one launch of each fused kernel, by ncu."""

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
"""Of the details that ncu prints: the heads of kernels, and what a bound is read from."""


def command(arguments: argparse.Namespace) -> int:
    """Write profile.ncu-rep and profile.txt beside the records, and print what matters."""
    folder: Path = arguments.records or Path()
    report = folder / "profile.ncu-rep"
    target = [sys.executable, "-m", "bench.gpu", "profiled", "--space", arguments.space]
    # Clocks stay as they are: the card may be shared.
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
