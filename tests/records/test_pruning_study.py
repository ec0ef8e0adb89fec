"""Records of pruned networks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kkspdnn.errors import InputError
from kkspdnn.io.json_schema import read_json
from kkspdnn.records.pruning_study import Study, Timing, study_from

STUDY = Study(
    created="2020-01-01T00:00:00+00:00",
    machine="a processor, 2 cores",
    threads=2,
    versions={"onnxruntime": "1.20.0"},
    commit=None,
    command="",
    layers=(4, 2),
    timings=(
        Timing("NumPy", "dense", 0.0, 1, (1e-3,), 0.0),
        Timing("kkspdnn", "balanced", 0.81, 1, (1e-3, 2e-3), 1e-6, 2, "openmp", 0.8),
    ),
)


def test_a_record_is_read_as_it_was_written() -> None:
    assert study_from(json.loads(STUDY.to_json()), "a.json") == STUDY


def test_the_nominal_sparsity_is_the_requested_one() -> None:
    assert [timing.nominal_sparsity for timing in STUDY.timings] == [0.0, 0.8]


def test_timings_of_older_records_have_networks_pruned_to_90_percent() -> None:
    fields = json.loads(STUDY.to_json())
    for timing in fields["timings"]:
        del timing["requested_sparsity"]
    timings = study_from(fields, "a.json").timings
    assert [timing.requested_sparsity for timing in timings] == [None, None]
    assert [timing.nominal_sparsity for timing in timings] == [0.0, 0.9]
    assert timings[1] == replace(STUDY.timings[1], requested_sparsity=None)


def test_the_committed_record_is_read() -> None:
    path = Path(__file__).parents[2] / "bench" / "results" / "balanced-speed.json"
    study = study_from(read_json(path), str(path))
    assert {timing.nominal_sparsity for timing in study.timings} >= {0.0, 0.9}


def test_invalid_values_are_refused() -> None:
    for change, message in (
        ({"seconds": []}, r"a.json: timings\[0\]: seconds: times above 0 are needed"),
        ({"sparsity": 1.0}, "a.json: sparsity: 1.0 is not from 0 to below 1"),
        ({"requested_sparsity": "0.9"}, "requested_sparsity: '0.9' is not a number"),
    ):
        fields = json.loads(STUDY.to_json())
        fields["timings"][0] |= change
        with pytest.raises(InputError, match=message):
            study_from(fields, "a.json")
