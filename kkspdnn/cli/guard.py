"""From what an action raises to an exit code and one line on standard error.

0: done, and right where that was checked. 1: done, and wrong. 2: something the user can mend.
130, 129, 143: ended by SIGINT, SIGHUP, SIGTERM. 141: the reader of the output has gone.
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

from kkspdnn.errors import InputError, KkspdnnError

if TYPE_CHECKING:
    from kkspdnn.parallel.launcher import Launch
    from kkspdnn.parallel.ranks import Ranks

_INTERRUPTED = 130

_TURN, _LONGEST_TURN = 0.3, 3.0
"""Seconds that a rank leaves to the one before it to say what is wrong, and at most to all."""


def end_at_interrupt(*, quiet: bool = False) -> None:
    """Make Ctrl-C end this process at once with one line, or quiet with none.

    For the time of imports and of Python's own end, when nothing is to be tidied up: extension
    modules do not always pass KeyboardInterrupt on.
    """

    signal.signal(signal.SIGINT, _end_quietly if quiet else _end)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    os.write(2, b"kkspdnn: interrupted\n")
    os._exit(_INTERRUPTED)


def _end_quietly(_number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(_INTERRUPTED)


def raising_at_interrupt() -> AbstractContextManager[None]:
    """Raise KeyboardInterrupt at Ctrl-C inside the block, whatever it does outside."""
    return _handling(signal.default_int_handler)


def importing() -> AbstractContextManager[None]:
    """End this process with one line at Ctrl-C inside the block, which imports modules."""
    return _handling(_end)


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # Python hands signals to the main thread only
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def guarded(action: Callable[[], int]) -> int:
    """The exit code of `action`; one line on standard error for all that the user can mend."""
    code, message = _ended(action)
    return code if message is None else _failed(message, code)


def guarded_on_rank(started: Launch, action: Callable[[Ranks], int]) -> int:
    """The exit code of `action` on this process of a launch; where it fails here it ends the whole
    run, for the others would wait for this one for ever."""
    from kkspdnn.parallel.ranks import CollectiveError, abort, launched_ranks

    try:
        with raising_at_interrupt():
            ranks = launched_ranks(started)
    except KkspdnnError as error:
        # All processes of a launch find the same.
        return 2 if started.quiet else _failed(str(error), 2)
    except KeyboardInterrupt:
        _in_turn(started.rank, "interrupted", _INTERRUPTED)
        abort(_INTERRUPTED)
    except SystemExit as ending:
        abort(_status(ending))
    except BaseException:
        traceback.print_exc()
        abort(1)
    try:
        code, message = _ended(lambda: action(ranks))
    except CollectiveError as run_collectively:
        code, message = _ended(partial(_raise, run_collectively.error))
        if ranks.rank == 0:
            _failed(f"{_where(run_collectively.rank)}{message}", code)
        return code
    except SystemExit as ending:
        ranks.fail(_status(ending))
    except BaseException:
        traceback.print_exc()
        ranks.fail(1)
    if message is not None:
        _in_turn(ranks.rank, message, code)
        ranks.fail(code)
    return code


def _status(ending: SystemExit) -> int:
    """The exit status, which SIGTERM and SIGHUP leave while tools run."""
    return ending.code if isinstance(ending.code, int) else 1


def _in_turn(rank: int, message: str, code: int) -> None:
    """Say once what is wrong with all of them: the first to say it ends the others."""
    sleep(min(_TURN * rank, _LONGEST_TURN))
    _failed(f"{_where(rank)}{message}", code)


def _where(rank: int) -> str:
    return f"rank {rank}: " if rank else ""


def _raise(error: Exception) -> NoReturn:
    raise error


def _ended(action: Callable[[], int]) -> tuple[int, str | None]:
    """The exit code of `action`, and what the user can mend where it failed."""
    try:
        with raising_at_interrupt():
            code = action()
            if sys.stdout is not None:
                sys.stdout.flush()
    except InputError as error:
        # A name of the user's may have a line end in it.
        return 2, " ".join(str(error).splitlines())
    except KkspdnnError as error:
        return 2, str(error)
    except MemoryError as error:
        detail = f" ({error})" if str(error) else ""
        return 2, f"out of memory{detail}; use fewer --inputs or a smaller network"
    except KeyboardInterrupt:
        return _INTERRUPTED, "interrupted"
    except BrokenPipeError:
        # Whoever read the output, such as `head`, has seen enough.
        _silence(sys.stdout)
        return 141, None
    except OSError as error:
        _silence(sys.stdout)
        where = f"{error.filename}: " if error.filename else ""
        return 2, f"{where}{error.strerror or error}"
    return code, None


def _failed(message: str, code: int) -> int:
    try:
        print(f"kkspdnn: {message}", file=sys.stderr, flush=True)
    except OSError:
        _silence(sys.stderr)
    return code


def _silence(stream: TextIO) -> None:
    """Send what is left in the stream's buffer nowhere: Python would fail on it when it ends."""
    try:
        number = stream.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
