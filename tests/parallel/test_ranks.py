"""Ranks of one process; test_answers.py and test_faults.py run several."""

from __future__ import annotations

import os
import threading
from time import monotonic, sleep

from kkspdnn.parallel.ranks import _wait_until_read


def test_an_abort_waits_until_the_launcher_has_read_the_error() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"kkspdnn: rank 1: interrupted\n")
    read_at: list[float] = []

    def read_late() -> None:
        sleep(0.1)
        read_at.append(monotonic())
        os.read(reading, 100)

    reader = threading.Thread(target=read_late)
    reader.start()
    _wait_until_read(writing)
    ended_at = monotonic()
    reader.join()
    assert read_at[0] < ended_at
    os.close(reading)
    os.close(writing)


def test_an_abort_waits_neither_for_a_file_nor_for_a_closed_descriptor() -> None:
    begun = monotonic()
    with open(os.devnull, "w") as file:
        _wait_until_read(file.fileno())
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    _wait_until_read(writing)
    assert monotonic() - begun < 0.5
