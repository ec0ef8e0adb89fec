"""An nvcc for tests: a shell script that prints the version and the toolkit of a real one."""

from __future__ import annotations

from pathlib import Path


def write_fake_nvcc(home: Path, version: str = "release 13.0, V13.0.88") -> Path:
    """Write bin/nvcc, a script that answers what kkspdnn asks nvcc, and return its path."""
    path = home / "bin" / "nvcc"
    path.parent.mkdir(parents=True)
    path.write_text(
        "#!/bin/sh\n"
        'case "$1" in\n'
        f'--version) echo "Cuda compilation tools, {version}";;\n'
        f"--dryrun) echo '#$ _SPACE_= '; echo '#$ TOP={home}/bin/..';;\n"
        "--list-gpu-code) echo sm_80; echo sm_90;;\n"
        "esac\n"
    )
    path.chmod(0o755)
    return path
