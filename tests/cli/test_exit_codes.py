"""Exit codes and one-line errors, also of Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from kkspdnn.cli.exit_codes import exit_code_of, raising_at_interrupt
from kkspdnn.errors import InputError, ToolchainError


def interrupt() -> int:
    os.kill(os.getpid(), signal.SIGINT)
    return 0


def test_an_interrupt_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    previous = signal.getsignal(signal.SIGINT)
    assert exit_code_of(interrupt) == 130
    assert capsys.readouterr().err == "kkspdnn: interrupted\n"
    assert signal.getsignal(signal.SIGINT) is previous


def test_an_error_that_the_user_can_fix_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> int:
        raise InputError("a name\nwith a line end")

    assert exit_code_of(fail) == 2
    assert capsys.readouterr().err == "kkspdnn: a name with a line end\n"


def test_an_error_has_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> int:
        raise ToolchainError("\x1b[1mbold\x1b[0m and a bell\a")

    assert exit_code_of(fail) == 2
    assert capsys.readouterr().err == "kkspdnn: bold and a bell\n"


def test_the_previous_handler_is_restored() -> None:
    def handler(*_: object) -> None: ...

    previous = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises(KeyboardInterrupt), raising_at_interrupt():
            interrupt()
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, previous)


def test_no_handler_is_set_outside_the_main_thread() -> None:
    codes = []
    thread = threading.Thread(target=lambda: codes.append(exit_code_of(lambda: 3)))
    thread.start()
    thread.join()
    assert codes == [3]


@pytest.mark.parametrize(("quiet", "printed"), [(False, "kkspdnn: interrupted\n"), (True, "")])
def test_the_end_of_the_process_at_an_interrupt(quiet: bool, printed: str) -> None:
    script = (
        "import os, signal\nfrom kkspdnn.cli.exit_codes import end_at_interrupt\n"
        f"end_at_interrupt(quiet={quiet})\n"
        "try:\n    os.kill(os.getpid(), signal.SIGINT)\nexcept BaseException:\n    pass\n"
        "print('still here')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", printed)
