"""Records that are read, and those that are left out, with the reason."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from kkspdnn.cli.plot import plot, possible_charts
from kkspdnn.errors import InputError
from kkspdnn.figures.hardware import make_hardware
from kkspdnn.figures.left_out import left_out
from kkspdnn.figures.read import Records, read_records
from tests.figures.conftest import FIRST, GPU, SECOND, comparison, row, study

RESULTS = Path(__file__).parents[2] / "bench" / "results"
RUN = RESULTS / "1024-120-openmp.json"


def reasons(paths: list[Path]) -> dict[str, str]:
    """Return the reason for each file that no figure shows, by the file's name."""
    records = read_records(paths)
    found = left_out(paths, records, possible_charts(records))
    return {each.path.name: each.reason for each in found}


def changed(folder: Path, name: str, **fields: object) -> Path:
    """Write a run's record with other fields."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps({**json.loads(RUN.read_text()), **fields}))
    return path


def test_points_have_the_machine_that_computed(records: Records) -> None:
    found = {point.hardware for point in records.points}
    assert found == {
        *(make_hardware(FIRST, threads) for threads in (1, 2)),
        *(make_hardware(SECOND, threads) for threads in (1, 16)),
        make_hardware("", 0, GPU),
    }


def test_every_record_of_the_folder_is_shown(folder: Path) -> None:
    assert reasons(sorted(folder.iterdir())) == {}


def test_unusable_runs_are_named(tmp_path: Path) -> None:
    paths = [
        RUN,
        changed(tmp_path, "debug", debug=True),
        changed(tmp_path, "resumed", saved_rows=7),
        changed(tmp_path, "wrong", truth="failed"),
    ]
    assert reasons(paths) == {
        "debug.json": "the times of debug mode mean nothing",
        "resumed.json": "the run resumed from a checkpoint, so its time is that of some rows",
        "wrong.json": "the run failed its verification",
    }
    with pytest.raises(InputError, match=r"no record among 1 files; .*debug mode mean nothing"):
        read_records(paths[1:2])


def test_quick_trials_are_named(tmp_path: Path) -> None:
    path = tmp_path / "quick.json"
    path.write_text(replace(study(), quick=True).to_json())
    assert reasons([RUN, path]) == {
        "quick.json": "a quick trial, whose networks are small and whose runs are few"
    }


def test_other_formats_are_named(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"a": 1}')
    newer = tmp_path / "newer.json"
    newer.write_text('{"schema": "kkspdnn-bench/9"}')
    found = reasons([RUN, RESULTS / "launch-overhead.json", other, newer])
    assert found == {
        "launch-overhead.json": "a record of the format kkspdnn-launch/1, which no figure shows",
        "other.json": "no record, which no figure shows",
        "newer.json": "a record of the format kkspdnn-bench/9, which no figure shows",
    }


def test_the_file_with_more_runs_of_the_same_is_named(tmp_path: Path) -> None:
    record = json.loads(RUN.read_text())
    base = comparison(machine=record["machine"])
    assert base.network is not None
    rows = (row("all", "kkspdnn, fused, early exit", 0.1, record["threads"]),)
    path = tmp_path / "several.json"
    path.write_text(json.dumps(asdict(replace(base, rows=rows))))
    assert reasons([RUN, path]) == {
        RUN.name: f"{path} has the same measurement, with 3 runs",
    }


def test_a_record_without_a_place_is_named(folder: Path, tmp_path: Path) -> None:
    def alone(name: str, **fields: object) -> Path:
        record = json.loads((folder / "base-1.json").read_text()) | {"layers": None, **fields}
        row = {"name": "dead", "label": "kkspdnn, alone", "threads": record["threads"]}
        record["rows"] = [record["rows"][2] | row]
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(record))
        return path

    ceilings = json.loads((folder / "ceilings-0.json").read_text())
    ceilings["ceilings"]["threads"] = 7
    other = tmp_path / "ceilings.json"
    other.write_text(json.dumps(ceilings))
    network = asdict(comparison())["network"] | {"neurons": 64}
    paths = [
        alone("three-threads", threads=3),
        alone("another-size", threads=16, network=network),
        other,
    ]
    found = reasons([*sorted(folder.iterdir()), *paths])
    assert found == {
        "three-threads.json": f"other records of {SECOND} have 16 threads, this one 3",
        "another-size.json": "no other record of 'kkspdnn, alone' differs in one size, in "
        "threads or in machine only",
        "ceilings.json": f"no implementation was measured on {FIRST} with 7 threads",
    }


def test_plot_prints_what_it_leaves_out(tmp_path: Path) -> None:
    lines = list(plot([str(RUN), str(RESULTS / "launch-overhead.json"), "--out", str(tmp_path)]))
    assert lines[0].startswith(f"left out: {RESULTS / 'launch-overhead.json'}: a record of")
    assert lines[1:] == [f"12 files in {tmp_path}: rates, poster\n"]


def test_only_some_figures(tmp_path: Path) -> None:
    lines = list(plot([str(RUN), "--only", "rates", "--out", str(tmp_path)]))
    assert lines == [f"6 files in {tmp_path}: rates\n"]
    with pytest.raises(InputError, match="--only speedup: these records allow rates, poster"):
        list(plot([str(RUN), "--only", "speedup", "--out", str(tmp_path)]))


def test_invalid_fields_are_errors(tmp_path: Path) -> None:
    for change, message in (
        (
            {"inference_seconds": 0.0},
            "inference_seconds, repeat_seconds and inputs must be above 0",
        ),
        ({"repeat_seconds": [1.0, 0.0]}, "repeat_seconds and inputs must be above 0"),
        ({"layers": "many"}, "layers: 'many' is not a whole number"),
        ({"exits": "no"}, "exits: 'no' is unknown"),
    ):
        path = changed(tmp_path, "wrong", **change)
        with pytest.raises(InputError, match=message):
            read_records([path])


def test_a_run_on_a_gpu(tmp_path: Path) -> None:
    gpu = {
        "host": "n",
        "number": 0,
        "name": "NVIDIA X100",
        "arch": "sm_90",
        "uuid": "",
        "ranks": [0],
    }
    machine = "NVIDIA X100; a, 2 cores"
    paths = [
        changed(tmp_path, "one", space="cuda", machine=machine, gpus=[gpu]),
        changed(tmp_path, "older", space="cuda", machine=machine, exits="dead"),
        changed(tmp_path, "two", space="cuda", machine=machine, gpus=[gpu, gpu], exits="none"),
    ]
    names = {p.name: p.machine.name for p in read_records(paths).points}
    assert names == {"all": "NVIDIA X100", "dead": "NVIDIA X100", "none": "2 x NVIDIA X100"}


def test_the_measurement_with_more_runs_is_kept(folder: Path) -> None:
    paths = sorted(folder.iterdir())
    more = json.loads((folder / "base-0.json").read_text())
    more["rows"][3]["inference_seconds"] = [1.0] * 9
    (folder / "z.json").write_text(json.dumps(more))
    for order in ([folder / "z.json", *paths], [*paths, folder / "z.json"]):
        found = [
            p
            for p in read_records(order).points
            if (p.name, p.network, p.hardware) == ("all", "1024-120", make_hardware(FIRST, 2))
        ]
        assert [point.seconds for point in found] == [(1.0,) * 9]


def test_the_latest_measurement_of_several_runs_is_kept(folder: Path) -> None:
    later = json.loads((folder / "base-0.json").read_text()) | {"created": "2021-01-01T00:00:00"}
    later["rows"][3]["inference_seconds"] = [1.0, 2.0]
    (folder / "later.json").write_text(json.dumps(later))
    key = ("all", "1024-120", make_hardware(FIRST, 2))
    found = [
        p
        for p in read_records(sorted(folder.iterdir())).points
        if (p.name, p.network, p.hardware) == key
    ]
    assert [(point.seconds, point.date) for point in found] == [((1.0, 2.0), "2021-01-01")]


def test_stored_labels_are_displayed_in_current_words(records: Records) -> None:
    labels = {row.label for each in records.comparisons for row in each.record.rows}
    labels |= {point.label for point in records.points}
    assert {"kkspdnn, fused, no early exit", "kkspdnn, fused, early exit"} <= labels
    assert not any("leave" in label or "exits" in label for label in labels)


def test_a_run_with_ranks_is_separate_from_runs_of_one_process() -> None:
    records = read_records([RESULTS / "1024-120-ranks-2.json"])
    assert records.points == ()
    assert [(p.ranks, p.threads) for p in records.of_ranks] == [(2, 2)]
