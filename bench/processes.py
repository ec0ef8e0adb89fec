"""Talking to a worker: questions, answers, and the last line of one that died.

Both are JSON objects, one a line.
"""

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
"""Of prctl(2). A worker is stopped between questions, and would not see that stdin has ended."""

_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "TVM_NUM_THREADS",
)


class WorkerError(Exception):
    """A worker died or took too long; the message is one line."""


class Worker:
    """
    A process `python -m module arguments` in a folder of its own, with this number of threads,
    which calls `answer_all`.

    It is stopped between questions: OpenMP's threads and others go on spinning for a while after
    their work, on the cores of whoever comes next.
    """

    def __init__(
        self, module: str, arguments: Sequence[str], threads: int, environment: Mapping[str, str]
    ) -> None:
        self._folder = TemporaryDirectory(prefix="kkspdnn-bench-")
        path = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
        variables = {
            **os.environ,
            **dict.fromkeys(_THREADS, str(threads)),
            **environment,
            "PYTHONPATH": os.pathsep.join(each for each in path if each),
        }
        self._errors = Path(self._folder.name) / "stderr"
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=self._folder.name,
                env=variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def ask(self, question: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """The answer to a question; WorkerError where none comes within so many seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        late = Timer(seconds, self._process.kill)
        late.start()
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = ""
        finally:
            in_time = late.is_alive()
            late.cancel()
        if line.endswith("\n"):
            self._process.send_signal(signal.SIGSTOP)
            answer: dict[str, Any] = json.loads(line)
            return answer
        code = self._process.wait()
        raise WorkerError(self._last_line(code) if in_time else f"no answer in {seconds:.0f} s")

    def _last_line(self, code: int) -> str:
        lines = self._errors.read_text(errors="replace").splitlines()
        said = [line.strip() for line in lines if line.strip()]
        ended = f"signal {-code}" if code < 0 else f"exit code {code}"
        return said[-1] if said else f"ended with {ended}, and said nothing"

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()


def answer_all(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> int:
    """Answer until stdin ends, or the process that asks does; what libraries print goes to
    stderr."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        answers.write(json.dumps(answer(json.loads(line))) + "\n")
        answers.flush()
    return 0
