"""Worker processes that answer requests: one JSON object per line, over stdin and stdout."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer
from typing import Any

_ROOT = Path(__file__).parents[1]
_PR_SET_PDEATHSIG = 1
"""See prctl(2). A worker is stopped between requests, so it would not notice the end of stdin."""

_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "TVM_NUM_THREADS",
)


ALL_THREADS: Mapping[str, str] = {"GOMP_SPINCOUNT": "10000"}
"""Environment variables for workers of kkspdnn: the default value of kkspdnn. Setting it turns the
load monitor off, which would take the turns of other workers for a busy machine."""


class WorkerError(Exception):
    """A worker ended or exceeded its time limit; the message is one line."""


class Worker:
    """A process `python -m module arguments` in a temporary folder, which calls `serve`.

    threads: value of OMP_NUM_THREADS and the like; env: additional environment variables
    interpreter: the Python of another environment; it does not get the PYTHONPATH of this one

    The process is stopped (SIGSTOP) between requests: threads of OpenMP and other libraries spin
    for a while after their work and would take cores from the next worker.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        threads: int,
        env: Mapping[str, str],
        interpreter: str | None = None,
    ) -> None:
        self._folder = TemporaryDirectory(prefix="kkspdnn-bench-")
        inherited = os.environ.get("PYTHONPATH", "") if interpreter is None else ""
        path = [str(_ROOT), inherited]
        all_variables = {
            **os.environ,
            **dict.fromkeys(_THREADS, str(threads)),
            **env,
            "PYTHONPATH": os.pathsep.join(folder for folder in path if folder),
        }
        self._errors = Path(self._folder.name) / "stderr"
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [interpreter or sys.executable, "-m", module, *arguments],
                cwd=self._folder.name,
                env=all_variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def request(self, message: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Send a message and return the answer.

        Raises WorkerError if the worker ends, or does not answer within `seconds`.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        timer = Timer(seconds, self._process.kill)
        timer.start()
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = ""
        finally:
            in_time = timer.is_alive()
            timer.cancel()
        if line.endswith("\n"):
            self._process.send_signal(signal.SIGSTOP)
            answer: dict[str, Any] = json.loads(line)
            return answer
        code = self._process.wait()
        raise WorkerError(self._last_line(code) if in_time else f"no answer in {seconds:.0f} s")

    def _last_line(self, code: int) -> str:
        lines = self._errors.read_text(errors="replace").splitlines()
        printed = [line.strip() for line in lines if line.strip()]
        end = f"signal {-code}" if code < 0 else f"exit code {code}"
        return printed[-1] if printed else f"the process ended with {end} and printed no error"

    def close(self) -> None:
        """End the process and remove its folder."""
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()


def serve(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> int:
    """Answer requests until stdin or the parent process ends.

    Redirects the standard output of libraries to standard error.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        answers.write(json.dumps(answer(json.loads(line))) + "\n")
        answers.flush()
    return 0
