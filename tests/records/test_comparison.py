"""Comparison records are read as they were written, and an invalid record is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kkspdnn.errors import InputError
from kkspdnn.io.json_schema import decode
from kkspdnn.records.comparison import (
    Ceilings,
    Comparison,
    LayerCounts,
    NetworkSize,
    PeerResult,
    comparison_from,
    read_comparison,
)
from kkspdnn.records.run import Record

ROOT = Path(__file__).parents[2]


@pytest.fixture
def record() -> Comparison:
    good = PeerResult(
        name="scipy",
        label="SciPy",
        status="ok",
        threads=1,
        inputs=10,
        load_seconds=0.1,
        inference_seconds=(2.0, 1.0, 4.0),
        categories=0,
        categories_sha256="e3",
        agrees=True,
    )
    return Comparison(
        created="2020-01-01T00:00:00+00:00",
        machine="a machine, 2 cores",
        cpu_features=("avx2",),
        threads=2,
        gpu=None,
        compilers={"c++": "g++ 12"},
        versions={"kkspdnn": "0.1.0"},
        commit=None,
        command="python -m bench run",
        network=NetworkSize("n", 64, 2, 20, 4096, "float32"),
        rows=(good, PeerResult("tvm", "TVM", "missing", "not installed")),
        layers=LayerCounts((3, 2), (0, 1), (2, 0), (9, 4), (90, 40)),
        ceilings=Ceilings(2, 1e11, 1e12, 5e11, 1e10),
    )


def test_a_written_record_is_read_again(record: Comparison, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(record.to_json())
    assert read_comparison(path) == record
    assert record.measured == record.rows[:1]


def test_rates_count_only_the_measured_rows(record: Comparison) -> None:
    assert record.rows[0].rates(4096) == (10240.0, 20480.0, 40960.0)
    assert record.rows[0].rate(4096) == 20480.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.update(schema="kkspdnn-bench/2"), "x: schema: 'kkspdnn-bench/2' is not"),
        (lambda r: r.pop("machine"), "x: machine: this field is missing"),
        (lambda r: r.update(more=1), "x: more: no such field"),
        (lambda r: r.update(threads="2"), "x: threads: '2' is not a whole number"),
        (lambda r: r.update(threads=True), "x: threads: True is not a whole number"),
        (lambda r: r.update(rows={}), "x: rows: {} is not a list"),
        (lambda r: r.update(rows=[1]), r"x: rows\[0\]: 1 is not an object"),
        (lambda r: r.update(versions=[]), r"x: versions: \[\] is not an object"),
        (lambda r: r["versions"].update(numpy=2), "x: versions: numpy: 2 is not text"),
        (lambda r: r["cpu_features"].append(None), r"x: cpu_features\[1\]: None is not text"),
        (lambda r: r["network"].update(edges=1.5), "x: network: edges: 1.5 is not a whole"),
        (lambda r: r["rows"][1].update(status="lost"), r"x: rows\[1\]: status: 'lost' is not one"),
        (lambda r: r["rows"][1].update(why=None), r"x: rows\[1\]: why: a row with status missing"),
        (lambda r: r["rows"][1].update(name="scipy"), r"x: rows\[1\]: name: 'scipy' occurs twi"),
        (
            lambda r: r["rows"][0].update(agrees=False),
            r"x: rows\[0\]: agrees: a row with unexpected",
        ),
        (lambda r: r["rows"][0].update(inputs=0), r"x: rows\[0\]: inputs: 0 is less than 1"),
        (lambda r: r["rows"][0].update(inputs=None), r"x: rows\[0\]: inputs: a row with status ok"),
        (lambda r: r["rows"][0].update(inference_seconds=[]), "inference_seconds: at least one"),
        (lambda r: r["rows"][0].update(inference_seconds=[0.0, 1]), "at least one time above 0"),
        (lambda r: r.update(network=None), "x: network: a record with rows must have it"),
        (lambda r: r["layers"]["alive"].append(1), "x: layers: alive: 3 numbers for 2 layers"),
        (lambda r: r["ceilings"].update(threads=0), "x: ceilings: every number must be above 0"),
    ],
)
def test_an_invalid_record_is_refused(record: Comparison, change: Any, message: str) -> None:
    fields = json.loads(record.to_json())
    change(fields)
    with pytest.raises(InputError, match=message):
        comparison_from(fields, "x")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.json:1: not JSON"),
        (b'{"schema":\n nope}', "a.json:2: not JSON"),
        (b'{"schema": NaN}', "a.json: not JSON: NaN is not a JSON number"),
        (b"[1]", "a.json: not a JSON object"),
        (b"\xff", "a.json: not UTF-8"),
        (b"[" * 100_000, "a.json"),
    ],
)
def test_a_file_that_is_not_a_record(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_comparison(path)
    with pytest.raises(InputError, match="none.json: cannot be read: No such file"):
        read_comparison(tmp_path / "none.json")


def test_a_record_with_unknown_fields_is_decoded_if_not_strict(record: Comparison) -> None:
    path = ROOT / "bench" / "results" / "1024-120-openmp.json"
    fields = json.loads(path.read_text())
    decoded = decode(Record, {**fields, "future_field": 1}, str(path), strict=False)
    assert json.loads(decoded.to_json()).items() >= fields.items()
    assert isinstance(replace(decoded, layers=1), Record)
    with pytest.raises(InputError, match="b: verified: rows: 'x' is not a whole number"):
        decode(Record, {**fields, "verified": {"mode": "full", "rows": "x"}}, "b", strict=False)
