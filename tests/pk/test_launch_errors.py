"""The traceback of an error of a launch leads to the launch."""

from __future__ import annotations

import traceback
from pathlib import Path

import numpy as np
import pykokkos as pk
import pytest
from ir_of_source import Load, source_of

from kkspdnn.errors import KkspdnnError
from kkspdnn.pk import dispatch


def raised_in(error: BaseException) -> list[str]:
    """Return the files of the frames of a traceback."""
    return [Path(frame.filename).name for frame in traceback.extract_tb(error.__traceback__)]


def test_the_frames_of_the_compiler_are_not_shown(load: Load) -> None:
    w = load(source_of("x[i] = [1.0]", "i, x")).w
    with pytest.raises(pk.WorkunitError) as caught:
        pk.parallel_for(2, w, x=np.zeros(2))
    files = raised_in(caught.value)
    assert files[0] == Path(__file__).name
    assert set(files[1:]) == {"dispatch.py"}
    assert caught.value.__cause__ is None


def test_a_bug_of_the_compiler_keeps_its_frames(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = load(source_of("x[i] = 1.0", "i, x")).w

    def generate(*_: object, **__: object) -> None:
        raise AssertionError("bug")

    monkeypatch.setattr(dispatch, "generate", generate)
    with pytest.raises(AssertionError) as caught:
        pk.parallel_for(2, w, x=np.zeros(2))
    assert not isinstance(caught.value, KkspdnnError)
    assert raised_in(caught.value)[-1] == Path(__file__).name
