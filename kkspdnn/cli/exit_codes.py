"""Exit codes, and errors as one line on standard error.

0: success. 1: the result is wrong. 2: an error that the user can fix. 130, 129, 143: terminated by
SIGINT, SIGHUP, SIGTERM. 141: the reader of the output has closed it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from time import sleep
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, TextIO

from kkspdnn.cli.option_names import name_options
from kkspdnn.errors import InputError, KkspdnnError, printable

if TYPE_CHECKING:
    from kkspdnn.parallel.launcher import Launch
    from kkspdnn.parallel.ranks import Ranks

_INTERRUPTED = 130


class WrongResultError(Exception):
    """A wrong result of a command, which is not an error of the user; the message is one line."""


_RANK_DELAY, _MAX_RANK_DELAY = 0.3, 3.0
"""Seconds that a rank waits before it reports an error, for each rank before it and at most. The
first rank that reports ends the others, so one error of all ranks is reported once."""


def end_at_interrupt(*, quiet: bool = False) -> None:
    """Make Ctrl-C end this process at once, with one line or, if quiet, with none.

    For imports and for the shutdown of Python, where no cleanup is needed: extension modules do not
    always propagate KeyboardInterrupt.
    """
    signal.signal(signal.SIGINT, _end_quietly if quiet else _end)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    os.write(2, b"kkspdnn: interrupted\n")
    os._exit(_INTERRUPTED)


def _end_quietly(_number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(_INTERRUPTED)


def raising_at_interrupt() -> AbstractContextManager[None]:
    """Raise KeyboardInterrupt at Ctrl-C inside the block."""
    return _handling(signal.default_int_handler)


def ending_at_interrupt() -> AbstractContextManager[None]:
    """End this process with one line at Ctrl-C inside the block, for imports."""
    return _handling(_end)


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # Python delivers signals to the main thread only
        return
    previous = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def exit_code_of(action: Callable[[], int]) -> int:
    """Run `action` and return the exit code; an error that the user can fix is printed."""
    code, message = _run(action)
    return code if message is None else _report(message, code)


def exit_code_of_rank(started: Launch, action: Callable[[Ranks], int]) -> int:
    """Run `action` on this rank of an MPI launch and return the exit code.

    If only this rank fails, all ranks are ended: the others would wait for it forever.
    """
    from kkspdnn.parallel.ranks import CollectiveError, abort, launched_ranks

    try:
        with raising_at_interrupt():
            ranks = launched_ranks(started)
    except KkspdnnError as error:
        # All processes of the launch fail alike.
        return 2 if started.quiet else _report(name_options(str(error)), 2)
    except KeyboardInterrupt:
        _report_in_rank_order(started.rank, "interrupted", _INTERRUPTED)
        abort(_INTERRUPTED)
    except SystemExit as error:
        abort(_status(error))
    except BaseException:
        traceback.print_exc()
        abort(1)
    try:
        code, message = _run(lambda: action(ranks))
    except CollectiveError as failure:
        code, message = _run(partial(_raise, failure.error))
        if ranks.rank == 0:
            _report(f"{_rank_prefix(failure.rank)}{message}", code)
        return code
    except SystemExit as error:
        ranks.fail(_status(error))
    except BaseException:
        traceback.print_exc()
        ranks.fail(1)
    if message is not None:
        _report_in_rank_order(ranks.rank, message, code)
        ranks.fail(code)
    return code


def _status(error: SystemExit) -> int:
    """Return the exit code; SIGTERM and SIGHUP during external tools raise SystemExit."""
    return error.code if isinstance(error.code, int) else 1


def _report_in_rank_order(rank: int, message: str, code: int) -> None:
    """Print the error after the delay of this rank."""
    sleep(min(_RANK_DELAY * rank, _MAX_RANK_DELAY))
    _report(f"{_rank_prefix(rank)}{message}", code)


def _rank_prefix(rank: int) -> str:
    return f"rank {rank}: " if rank else ""


def _raise(error: Exception) -> NoReturn:
    raise error


def _run(action: Callable[[], int]) -> tuple[int, str | None]:
    """Run `action`; return the exit code, and the message of an error that the user can fix."""
    try:
        with raising_at_interrupt():
            code = action()
            if sys.stdout is not None:
                sys.stdout.flush()
    except InputError as error:
        # A file name of the user may contain a line break.
        return 2, name_options(" ".join(str(error).splitlines()))
    except KkspdnnError as error:
        return 2, name_options(str(error))
    except WrongResultError as error:
        return 1, name_options(str(error))
    except MemoryError as error:
        detail = f" ({error})" if str(error) else ""
        return 2, f"out of memory{detail}; use fewer --inputs or a smaller network"
    except KeyboardInterrupt:
        return _INTERRUPTED, "interrupted"
    except BrokenPipeError:
        # The reader of the output, such as `head`, has exited.
        _discard(sys.stdout)
        return 141, None
    except OSError as error:
        _discard(sys.stdout)
        file = f"{error.filename}: " if error.filename else ""
        return 2, f"{file}{error.strerror or error}"
    return code, None


def _report(message: str, code: int) -> int:
    try:
        print(f"kkspdnn: {printable(message)}", file=sys.stderr, flush=True)
    except OSError:
        _discard(sys.stderr)
    return code


def _discard(stream: TextIO) -> None:
    """Discard the stream's buffer, on which Python would fail at exit."""
    try:
        number = stream.fileno()
    except (OSError, ValueError):
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, number)
    os.close(null)
