"""Records of SpGEMM are read as they were written, and an invalid record is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kkspdnn.errors import InputError
from kkspdnn.records.spgemm_study import (
    SpgemmCase,
    SpgemmStudy,
    SpgemmTiming,
    spgemm_study_from,
)


@pytest.fixture
def record() -> SpgemmStudy:
    good = SpgemmTiming("scipy", "SciPy", "ok", None, "1.17", 1, 64, 2000, 2000, (2e-6, 1e-6, 6e-6))
    missing = SpgemmTiming("mkl", "MKL", "missing", "not installed")
    case = SpgemmCase(1024, 32, 0.1, 2, 64, 0, (1000, 1000), (0.1, 0.11), (good, missing))
    return SpgemmStudy(
        created="2020-01-01T00:00:00+00:00",
        machine="a machine, 2 cores",
        cpu_features=("avx2",),
        threads=2,
        gpu=None,
        compilers={"c++": "g++ 12"},
        versions={"kkspdnn": "0.1.0"},
        commit=None,
        command="python -m bench spgemm",
        cases=(case,),
    )


def test_a_written_record_is_read_again(record: SpgemmStudy) -> None:
    assert spgemm_study_from(json.loads(record.to_json()), "x") == record
    assert record.schema == "kkspdnn-spgemm/1"
    assert [row.name for row in record.cases[0].measured] == ["scipy"]


def test_the_time_of_a_multiplication(record: SpgemmStudy) -> None:
    (row,) = record.cases[0].measured
    assert row.nanoseconds == pytest.approx((0.5, 1.0, 3.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(more=1), r"x: cases\[0\]: more: no such field"),
        (lambda c: c.update(edges=0), r"x: cases\[0\]: edges: 0 is not above 0"),
        (lambda c: c.update(density=-1), r"x: cases\[0\]: density: -1.0 is not above 0"),
        (lambda c: c["multiplications"].append(1), "multiplications: 3 numbers for 2 layers"),
        (lambda c: c["densities"].pop(), "densities: 1 numbers for 2 layers"),
        (lambda c: c["rows"][1].update(why=None), "why: a row with status missing must have it"),
        (lambda c: c["rows"][1].update(name="scipy"), "name: 'scipy' occurs twice"),
        (lambda c: c["rows"][1].update(status="lost"), "status: 'lost' is not one of"),
        (lambda c: c["rows"][0].update(inputs=None), "inputs: a row with status ok must have"),
        (lambda c: c["rows"][0].update(multiplications=0), "multiplications: a row with status ok"),
        (lambda c: c["rows"][0].update(seconds=[]), "seconds: at least one time above 0"),
        (lambda c: c["rows"][0].update(seconds=[0.0]), "seconds: at least one time above 0"),
    ],
)
def test_an_invalid_record_is_refused(record: SpgemmStudy, change: Any, message: str) -> None:
    fields = json.loads(record.to_json())
    change(fields["cases"][0])
    with pytest.raises(InputError, match=message):
        spgemm_study_from(fields, "x")
