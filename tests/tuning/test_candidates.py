"""The candidates: legal, one value changed, and for every field that the space has."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from kkspdnn.choices import SpaceName
from kkspdnn.device.launch_parameters import LaunchParameters
from kkspdnn.tuning.candidates import axes, candidates
from kkspdnn.tuning.legality import find_illegal

FLOAT32 = np.dtype(np.float32)
SPACES_AND_BEST = [
    ("openmp", LaunchParameters.default("openmp")),
    ("cuda", LaunchParameters.default("cuda")),
    ("cuda", replace(LaunchParameters.default("cuda"), vector_length=8, team_size=4)),
]


@pytest.mark.parametrize(("space", "best"), SPACES_AND_BEST)
def test_candidates_are_legal_and_differ_in_one_value(
    space: SpaceName, best: LaunchParameters
) -> None:
    for axis in axes(space):
        found = list(candidates(axis, best, space, FLOAT32))
        assert found
        assert len(set(found)) == len(found)
        for candidate in found:
            assert find_illegal(candidate, space, FLOAT32) is None
            changed = {
                field.name
                for field in fields(LaunchParameters)
                if getattr(candidate, field.name) != getattr(best, field.name)
            }
            if axis.name == "vector_length":
                assert changed == {"vector_length", "team_size"}
                assert candidate.team_threads == best.team_threads
            else:
                assert changed == {axis.name}


def test_a_team_has_at_most_512_threads() -> None:
    best = LaunchParameters.default("cuda")
    (team,) = (axis for axis in axes("cuda") if axis.name == "team_size")
    threads = {each.team_threads for each in candidates(team, best, "cuda", FLOAT32)}
    assert threads | {best.team_threads} == {32, 64, 128, 256, 512}


def test_all_fields_are_searched_in_some_space() -> None:
    """A new field needs an axis."""
    searched = {axis.name for space in ("openmp", "cuda") for axis in axes(space)}  # type: ignore[arg-type]
    assert searched == {field.name for field in fields(LaunchParameters)}
