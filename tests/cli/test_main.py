"""The command line: exit codes, verdicts, files, and one-line errors."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import kkspdnn
from kkspdnn.cli import main, run_options
from kkspdnn.cli import run as run_command
from kkspdnn.cli.commands import COMMANDS, root_parser
from kkspdnn.device import memory
from kkspdnn.io.challenge import write_categories, write_images, write_network
from kkspdnn.io.shipped_images import images
from kkspdnn.model.radixnet import radixnet
from kkspdnn.pk.build.cache import default_cache
from kkspdnn.serial_reference import categories, reference
from tests.refusals import refusal

pytestmark = pytest.mark.usefixtures("no_progress_lines")

HOME = Path(kkspdnn.__file__).parents[1]
SMALL = ["--neurons", "64", "--layers", "3", "--inputs", "50"]


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a process with this kkspdnn and the same cache."""
    variables = {**os.environ, "PYTHONPATH": str(HOME), "KKSPDNN_CACHE": str(default_cache().root)}
    variables.pop("OMP_NUM_THREADS", None)
    return {**variables, **more}


def run(*options: str, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "kkspdnn", *options],
        env=environment(**more),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def one_line(error: str, *words: str) -> None:
    assert error.startswith("kkspdnn: "), error
    assert error.count("\n") == 1, error
    assert error.endswith("\n"), error
    for word in words:
        assert word in error, error


def fails(
    capsys: pytest.CaptureFixture[str], options: list[str], *words: str, code: int = 2
) -> None:
    """Run in this process."""
    one_line(refusal(capsys, *options, exit_code=code), *words)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small problem under the official names, with its expected categories."""
    folder = tmp_path_factory.mktemp("small")
    net, rows = radixnet(64, 3), images(64, 50)
    write_network(net, folder)
    write_images(rows, folder)
    expected = categories(reference(net, rows, dtype=np.float32))
    assert 0 < expected.size < 50
    write_categories(expected, folder, 64, 3)
    return folder


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The user's own network: 3 -> 2 -> 2 neurons, five input rows."""
    folder = tmp_path / "own"
    folder.mkdir()
    sp.save_npz(folder / "layer-1.npz", sp.csr_array(np.array([[1, 0], [0, 1], [1, -1.0]])))
    sp.save_npz(folder / "layer-2.npz", sp.csr_array(np.eye(2)))
    sp.save_npz(folder / "inputs.npz", sp.csr_array(np.eye(5, 3)))
    return folder


# Results


def test_every_option_exists() -> None:
    actions = run_options.parser()._actions
    options = {o for action in actions for o in action.option_strings}
    assert options >= {
        *("--space", "--neurons", "--layers", "--inputs", "--data", "--mnist", "--kernel"),
        "--epilogue",
        *("--dtype", "--threads", "--seed", "--verify", "--json", "--categories", "--quiet"),
        *("--fold", "--memory", "--device", "--parallel", "--checkpoint", "--outputs"),
        "--layer-cache",
    }
    choices = {
        a.option_strings[0]: tuple(a.choices) for a in actions if a.option_strings and a.choices
    }
    assert choices["--space"] == ("serial", "openmp", "cuda")
    assert choices["--kernel"] == ("fused", "spgemm", "auto")
    assert choices["--epilogue"] == ("fused", "separate")
    assert choices["--dtype"] == ("float32", "float64")
    assert choices["--verify"] == ("none", "sample", "full")


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    passed: dict[str, Any] = {}

    class Stop(Exception):
        pass

    def stop(net: Any, rows: Any, **options: Any) -> None:
        passed.update(options, net=net, rows=rows)
        raise Stop

    monkeypatch.setattr(run_command, "infer", stop)
    with pytest.raises(Stop):
        main.main([])
    assert (passed["space"], passed["kernel"], passed["dtype"]) == ("openmp", "fused", "float32")
    assert (passed["epilogue"], passed["exits"]) == ("fused", "all")
    assert (passed["verify"], passed["threads"], passed["memory"]) == ("sample", None, None)
    assert passed["net"].name == "radixnet-1024x120-seed0"
    assert (passed["rows"].rows, passed["rows"].neurons) == (60000, 1024)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["fused", "spgemm"])
def test_a_run_from_another_folder(tmp_path: Path, kernel: str) -> None:
    options = [*SMALL, "--kernel", kernel, "--verify", "full", "--dtype", "float64"]
    assert run(*options, "--quiet").returncode == 0  # compiles what the cache lacks
    done = run(
        *options,
        *("--json", "r.json", "--categories", "c.txt"),
        cwd=tmp_path,
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert "challenge" not in done.stdout
    assert "edges/s" in done.stdout
    assert "passed: 50 rows" in done.stdout
    record = json.loads((tmp_path / "r.json").read_text())
    types = {
        **dict.fromkeys(("space", "kernel", "dtype", "categories_sha256", "truth"), str),
        **dict.fromkeys(("machine", "compiler", "kokkos_version", "pk", "command"), str),
        **dict.fromkeys(("neurons", "layers", "inputs", "edges", "threads"), int),
        **dict.fromkeys(("edges_multiplied", "categories"), int),
        **dict.fromkeys(("compile_seconds", "load_seconds", "inference_seconds"), float),
        **dict.fromkeys(("edges_per_second",), float),
        **dict.fromkeys(("verified", "order"), dict),
    }
    for name, field_type in types.items():
        assert type(record[name]) is field_type, name
    assert (record["space"], record["neurons"], record["layers"], record["inputs"]) == (
        "openmp",
        64,
        3,
        50,
    )
    assert (record["edges"], record["kernel"], record["dtype"]) == (64 * 32 * 3, kernel, "float64")
    assert record["edges_per_second"] == pytest.approx(
        50 * record["edges"] / record["inference_seconds"]
    )
    assert record["truth"] == "absent"
    assert record["verified"]["mode"] == "full"
    assert record["verified"]["rows"] == 50
    assert 0 <= record["verified"]["max_abs_error"] <= record["verified"]["bound"]
    assert record["command"].startswith("python -m kkspdnn --neurons 64")
    assert all(record[name] for name in ("machine", "compiler", "kokkos_version", "pk"))
    lines = (tmp_path / "c.txt").read_text().splitlines()
    assert record["categories"] == len(lines)
    assert record["categories_sha256"] == hashlib.sha256("\n".join(lines).encode()).hexdigest()
    expected = categories(reference(radixnet(64, 3), images(64, 50)))
    assert [int(line) for line in lines] == expected.tolist()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.txt", "r.json"]


@pytest.mark.slow
def test_threads_change_nothing(tmp_path: Path) -> None:
    records = []
    for threads in (1, 2, 3):
        file = tmp_path / f"{threads}.json"
        options = ("--inputs", "3000", "--layers", "20", "--threads", str(threads))
        done = run(*options, "--quiet", "--json", str(file))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        records.append(json.loads(file.read_text()))
    assert [each["threads"] for each in records] == [1, 2, 3]
    assert len({each["categories_sha256"] for each in records}) == 1
    assert records[0]["categories"] > 0


@pytest.mark.parametrize("space", ["serial", "openmp"])
@pytest.mark.parametrize("kernel", ["fused", "spgemm"])
def test_the_challenge_is_passed(
    folder: Path, capsys: pytest.CaptureFixture[str], space: str, kernel: str
) -> None:
    options = ["--data", str(folder), *SMALL, "--space", space, "--kernel", kernel]
    assert main.main([*options, "--quiet"]) == 0
    assert capsys.readouterr().out == "challenge: PASSED\n"
    assert main.main(options) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "challenge: PASSED"


def test_other_expected_categories_fail_the_challenge(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong"
    shutil.copytree(folder, wrong)
    file = wrong / "neuron64-l3-categories.tsv"
    expected = [int(line) for line in file.read_text().splitlines()]
    zero_row = next(row for row in range(1, 51) if row not in expected)
    record = tmp_path / "r.json"
    options = ["--data", str(wrong), *SMALL, "--quiet", "--json", str(record)]

    file.write_text("".join(f"{row}\n" for row in sorted([*expected, zero_row])))
    assert main.main(options) == 1
    assert capsys.readouterr().out == "challenge: FAILED, 1 rows missing, 0 extra\n"
    assert json.loads(record.read_text())["truth"] == "failed"

    file.write_text("".join(f"{row}\n" for row in expected[2:]))
    assert main.main(options) == 1
    assert capsys.readouterr().out == "challenge: FAILED, 0 rows missing, 2 extra\n"
    fields = json.loads(record.read_text())
    assert (fields["truth_missing"], fields["truth_extra"]) == (0, 2)


def test_fewer_inputs_have_fewer_expected_categories(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--data", str(folder), "--neurons", "64", "--layers", "3", "--inputs", "20"]
    assert main.main([*options, "--quiet"]) == 0
    assert capsys.readouterr().out == "challenge: PASSED\n"


def test_a_wrong_result_fails_the_verification(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from kkspdnn.inference import run as steps

    concatenate = steps.concatenate

    def wrong(*arguments: Any) -> Any:
        result = concatenate(*arguments)
        result.values.data[0] += 1
        return result

    monkeypatch.setattr(steps, "concatenate", wrong)
    assert main.main([*SMALL, "--quiet", "--verify", "full"]) == 1
    printed = capsys.readouterr().out
    assert re.fullmatch(
        r"verify: FAILED, same categories, largest error 1(\.\d+)?, allowed \S+\n", printed
    )


def test_the_users_own_network(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = own / "c.txt"
    assert main.main(["--data", str(own), "--quiet"]) == 0  # compiles what the cache lacks
    assert main.main(["--data", str(own), "--categories", str(file), "--verify", "full"]) == 0
    # Row 3 has only neuron 2, with weights 1 and -1: the ReLU keeps 1. Rows 4 and 5 are zero.
    assert file.read_text() == "1\n2\n3\n"
    assert main.main(["--data", str(own), "--inputs", "2", "--quiet"]) == 0
    (own / "network.json").write_text('{"ymax": 1e300, "bias": 1e-3}')
    assert main.main(["--data", str(own), "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_layers_from_0_and_dense_input_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng, net = np.random.default_rng(0), tmp_path / "net"
    net.mkdir()
    expected = rng.random((5, 8)).astype(np.float32)
    np.save(net / "inputs.npy", expected)
    for number in range(3):
        weights = rng.standard_normal((8, 8)).astype(np.float32)
        sp.save_npz(net / f"layer-{number}.npz", sp.csr_array(weights))
        np.save(net / f"bias-{number}.npy", np.float32(-0.1 * number))
        sums = expected @ weights
        expected = np.where(sums != 0, np.maximum(sums - np.float32(0.1 * number), 0), 0)
    outputs = tmp_path / "y.npy"
    options = ["--data", str(net), "--outputs", str(outputs), "--verify", "full"]
    assert main.main(options) == 0
    assert "5 rows of 8 neurons: file inputs.npy" in capsys.readouterr().out
    assert np.allclose(np.load(outputs), expected, atol=1e-4)
    (net / "layer-1.npz").rename(net / "layer_1.npz")
    fails(capsys, options, "layer_1.npz: is not read by this name")


def test_the_users_own_network_with_the_shipped_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sp.save_npz(tmp_path / "layer-1.npz", sp.csr_array(np.eye(64)))
    options = ["--data", str(tmp_path), "--inputs", "9", "--verify", "none"]
    fails(capsys, options, "no inputs.npz or inputs.npy there", "--shipped-images")
    assert main.main([*options, "--shipped-images"]) == 0
    assert "9 rows of 64 neurons: made from the shipped" in capsys.readouterr().out


@pytest.mark.parametrize("more", [[], ["--kernel", "spgemm"], ["--fold"], ["--inputs", "0"]])
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_outputs_are_those_of_the_reference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str, more: list[str]
) -> None:
    file = tmp_path / f"y.{suffix}"
    assert main.main([*SMALL, "--outputs", str(file), "--quiet", *more]) == 0
    rows = images(64, 0 if "0" in more else 50)
    expected = reference(radixnet(64, 3), rows, dtype=np.float32)
    written = np.load(file) if suffix == "npy" else sp.load_npz(file).toarray()
    assert written.dtype == np.float32
    assert written.shape == expected.shape
    allowed = 1e-5 if "--fold" in more else 0
    assert np.abs(written - expected.toarray()).max(initial=0) <= allowed
    assert [each.name for each in tmp_path.iterdir()] == [file.name]
    assert capsys.readouterr().err == ""


def test_a_file_of_input_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values, rows = np.eye(9, 64, dtype=np.float32), tmp_path / "rows.npz"
    sp.save_npz(rows, sp.csr_array(values))
    options = [*SMALL[:4], "--rows", str(rows), "--verify", "full"]
    assert main.main(options) == 0
    assert "9 rows of 64 neurons: file rows.npz" in capsys.readouterr().out
    assert main.main([*options, "--inputs", "4"]) == 0
    assert "4 rows of 64 neurons: file rows.npz" in capsys.readouterr().out
    fails(capsys, [*options, "--inputs", "10"], "--inputs 10: ", "use at most --inputs 9")
    overwriting = [*options, "--outputs", str(rows)]
    fails(capsys, overwriting, f"--outputs {rows}: is a file that --rows {rows} reads")
    lines = tmp_path / "rows.tsv"
    lines.write_text("1\t65\t1\n")
    fails(capsys, [*SMALL, "--rows", str(lines)], "rows.tsv:1: neuron '65' is outside 1..64")


def test_repetitions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "r.json"
    assert main.main([*SMALL, "--repeat", "3", "--json", str(file)]) == 0
    record = json.loads(file.read_text())
    assert len(record["repeat_seconds"]) == 3
    assert record["inference_seconds"] == np.median(record["repeat_seconds"])
    assert "passed: 50 rows" in capsys.readouterr().out
    options = [*SMALL, "--repeat", "2", "--checkpoint", str(tmp_path / "c")]
    fails(capsys, options, "--repeat 2: finished rows of a checkpoint")


def test_outputs_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main([*SMALL, "--json", "-"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["layers"] == 3
    assert printed.err.startswith("space ")
    assert main.main([*SMALL, "--categories", "-", "--quiet"]) == 0
    printed = capsys.readouterr()
    expected = categories(reference(radixnet(64, 3), images(64, 50)))
    assert [int(line) for line in printed.out.splitlines()] == expected.tolist()
    assert printed.err == ""
    both = [*SMALL, "--json", "-", "--categories", "-"]
    fails(capsys, both, "--json and --categories are both -, standard output")
    fails(capsys, [*SMALL, "--outputs", "-"], "-: give a name that ends in .npy (dense)")


def test_verdicts_leave_standard_output_to_the_record(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["--data", str(folder), *SMALL, "--quiet", "--json", "-"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["truth"] == "passed"
    assert printed.err == "challenge: PASSED\n"


def test_a_file_of_the_name_of_standard_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main.main([*SMALL, "--json", "./-", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert json.loads((tmp_path / "-").read_text())["layers"] == 3


def test_an_unknown_suffix_of_outputs(capsys: pytest.CaptureFixture[str]) -> None:
    fails(capsys, [*SMALL, "--outputs", "y.txt"], "y.txt: give a name that ends in .npy (dense)")


@pytest.mark.parametrize(
    "options", [["--inputs", "0"], ["--layers", "0"], ["--inputs", "0", "--layers", "0"]]
)
@pytest.mark.parametrize("kernel", ["fused", "spgemm"])
def test_a_problem_without_rows_or_layers(
    capsys: pytest.CaptureFixture[str], options: list[str], kernel: str
) -> None:
    command = [*SMALL, *options, "--kernel", kernel, "--verify", "full"]
    assert main.main([*command, "--quiet"]) == 0  # compiles what the cache lacks
    assert main.main(command) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    expected = 0 if "--inputs" in options else 50
    assert f"categories  {expected}," in printed.out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kernel", "inputs", "categories_found"), [("fused", 60_000, 1812), ("spgemm", 6_000, 182)]
)
def test_the_official_problem_passes(
    challenge_folder: Path, tmp_path: Path, kernel: str, inputs: int, categories_found: int
) -> None:
    """All categories with the fused kernel, and those of the first rows with SpGEMM."""
    file = tmp_path / "record.json"
    options = ("--data", str(challenge_folder), "--kernel", kernel, "--inputs", str(inputs))
    done = run(*options, "--json", str(file), "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "challenge: PASSED\n", "")
    record = json.loads(file.read_text())
    found = (record["categories"], record["inputs"], record["edges"])
    assert found == (categories_found, inputs, 3932160)
    assert record["truth"] == "passed"
    assert record["verified"]["passed"]


# Errors


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--frob"], "--frob"),
        (["frob"], "frob"),
        (["--neur", "64"], "--neur"),
        (["--layers"], "--layers"),
        (["--layers", "x"], "'x' is not a whole number"),
        (["--layers", "-1"], "'-1' is not a whole number"),
        (["--layers", "1.5"], "1.5"),
        (["--inputs", "1_0"], "1_0"),
        (["--neurons", "0"], "0"),
        (["--threads", "0"], "0"),
        *((["--memory", bad], bad) for bad in ("0", "0.0000000001", "1e3", "nan", "inf", "8GB")),
        (["--memory", "0.001"], "at least --memory"),
        *((["--layer-cache", bad], bad) for bad in ("-1", "1e3", "nan", "4GB")),
        (["--threads", "513"], "512"),
        (["--repeat", "0"], "'0' is not a whole number from 1"),
        (["--repeat", "x"], "'x' is not a whole number from 1"),
        (["--seed", "-3"], "-3"),
        (["--dtype", "float16"], "float16"),
        (["--kernel", "dense"], "dense"),
        (["--space", "hip"], "hip"),
        (["--verify", "some"], "some"),
        (["--neurons", "1000"], "use 512 or 1024"),
        (["--neurons", "99999999999"], "use 16777216"),
        (["--inputs", "60001"], "60000"),
        (["--data", "/nope"], "/nope"),
        (["--rows", "/nope.npy"], "/nope.npy: no such file"),
        (["--rows", "/nope"], "/nope: no such file"),
        (["--rows", "x.npy", "--mnist", "y"], "--rows and --mnist both select the input rows"),
        (["--mnist", "/nope"], "/nope"),
        (["--mnist", "/"], "/"),
    ],
)
def test_invalid_options(
    capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    fails(capsys, options, words)


@pytest.mark.slow
def test_cuda_reports_missing_requirements_at_once() -> None:
    start = time.perf_counter()
    done = run("--space", "cuda", "--neurons", "65536")
    assert time.perf_counter() - start < 5  # about 1 second; the images alone would take more
    assert done.returncode == 2
    assert done.stdout == ""
    one_line(done.stderr, "--space cuda", "--space openmp")


def test_a_network_larger_than_memory(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 2**30)
    fails(capsys, ["--neurons", "16777216"], "--neurons 16777216", "GB")
    fails(capsys, ["--neurons", "1048576"], "--neurons 1048576: 60000 input rows", "1.07 GB")


@pytest.mark.slow
def test_a_memory_budget(tmp_path: Path) -> None:
    """A run keeps to its budget, and the budget that an error asks for is enough."""
    options = ("--neurons", "4096", "--layers", "40", "--inputs", "4000", "--verify", "none")
    file = tmp_path / "r.json"
    free = run(*options, "--json", str(file))
    unlimited = json.loads(file.read_text())
    assert free.returncode == 0
    assert unlimited["memory_budget_bytes"] is None
    assert unlimited["layers_held"] == 40
    needed, tries = "0.01", 0
    while (done := run(*options, "--memory", needed, "--json", str(file))).returncode == 2:
        tries += 1
        assert tries < 4
        one_line(done.stderr, f"of a budget of {float(needed):g} GB; at least --memory ")
        needed = done.stderr.split("--memory ")[1].split(" ")[0]
    assert tries > 0
    assert done.returncode == 0, done.stderr
    record = json.loads(file.read_text())
    assert record["memory_budget_bytes"] == round(float(needed) * 10**9)
    assert record["peak_memory_bytes"] <= record["memory_budget_bytes"]
    assert record["peak_memory_bytes"] < unlimited["peak_memory_bytes"]
    assert record["categories_sha256"] == unlimited["categories_sha256"]
    cached = record["layers_held"]
    assert cached < 40
    assert f"of {float(needed):g} GB, {cached} of 40 layers cached" in done.stdout


def test_out_of_memory_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        np.empty(2**60, np.uint8)

    monkeypatch.setattr(run_command, "infer", full)
    fails(capsys, SMALL, "out of memory", "EiB", "fewer --inputs")


def test_an_interrupt_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_command, "infer", stop)
    fails(capsys, SMALL, "interrupted", code=130)


def bad_files(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield one error after the other in a valid folder, with words of its message."""
    layer = folder / "neuron64" / "n64-l2.tsv"
    good = gzip.decompress((folder / "neuron64" / "n64-l2.tsv.gz").read_bytes()).decode()
    (folder / "neuron64" / "n64-l2.tsv.gz").unlink()
    for text, words in (
        ("1\t2\n", ["columns", ":2049"]),
        ("1\t2\t0.5\t7\n", ["columns"]),
        ("1\tx\t0.5\n", ["x"]),
        ("1\t65\t0.5\n", ["65"]),
        ("0\t1\t0.5\n", ["0"]),
        ("1\t1\tnan\n", ["nan"]),
        ("1\t1\tinf\n", ["inf"]),
        ("1\t1\t1e60\n", ["1e60"]),
        (good.splitlines()[0] + "\n", [""]),
    ):
        layer.write_text(good + text)
        yield text, ["n64-l2.tsv", *(words if text != good.splitlines()[0] + "\n" else [])]
    layer.write_text("")
    yield "empty", ["n64-l2.tsv"]
    layer.unlink()
    yield "missing", ["n64-l2.tsv: no such file"]
    zipped = gzip.compress(good.encode())
    layer.with_name(layer.name + ".gz").write_bytes(zipped[: len(zipped) // 2])
    yield "truncated", ["n64-l2.tsv.gz"]
    layer.with_name(layer.name + ".gz").write_bytes(b"no gzip at all")
    yield "no gzip", ["n64-l2.tsv.gz"]
    layer.with_name(layer.name + ".gz").write_bytes(zipped)
    (folder / "sparse-images-64.tsv").write_text("1\t65\t1\n")
    (folder / "sparse-images-64.tsv.gz").unlink()
    yield "image", ["sparse-images-64.tsv:1"]
    (folder / "sparse-images-64.tsv").write_text("1\t64\t1\n")
    (folder / "neuron64-l3-categories.tsv").write_text("2\n1\n")
    yield "categories", ["categories.tsv:2"]


def test_invalid_files_write_no_output(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, out = tmp_path / "bad", tmp_path / "out"
    shutil.copytree(folder, bad)
    out.mkdir()
    files = ["--json", str(out / "r.json"), "--categories", str(out / "c.txt")]
    for _, words in bad_files(bad):
        fails(capsys, ["--data", str(bad), *SMALL, *files], *words)
        assert list(out.iterdir()) == []


def test_the_size_of_the_cache_of_parsed_layers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_network(radixnet(64, 3), tmp_path)
    options = [*SMALL, "--data", str(tmp_path), "--quiet"]
    sizes: list[float | None] = []
    with monkeypatch.context() as patch:
        patch.setattr("kkspdnn.io.challenge.open_layer_cache", sizes.append)
        assert main.main(options) == 0
        assert main.main([*options, "--layer-cache", "0"]) == 0
        assert main.main([*options, "--layer-cache", "2.5"]) == 0
    assert sizes == [None, 0.0, 2.5]
    monkeypatch.setenv("KKSPDNN_LAYER_CACHE_GB", "lots")
    fails(capsys, options, "KKSPDNN_LAYER_CACHE_GB=lots: give its size in gigabytes, or 0 for no")


def test_the_users_own_network_with_errors(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--data", str(own)]
    fails(capsys, [*options, "--neurons", "4"], "--neurons 4", "3 inputs")
    fails(capsys, [*options, "--layers", "3"], "--layers 3", "2 layers")
    fails(capsys, [*options, "--inputs", "6"], "--inputs 6", "5 rows")
    second = own / "layer-2.npz"
    for matrix, word in (
        (np.eye(3), "must be equal"),
        (np.array([[np.nan, 1], [1, 1]]), "finite"),
        (np.array([[np.inf, 1], [1, 1]]), "finite"),
        (np.array([[1e60, 1], [1, 1]]), "1e+60"),
    ):
        sp.save_npz(second, sp.csr_array(matrix))
        fails(capsys, options, word)
    second.write_bytes(b"PK nothing")
    fails(capsys, options, "layer-2.npz")
    second.unlink()
    (own / "layer-1.npz").rename(second)
    fails(capsys, options, "layer-1.npz: no such file")


def test_overflow_is_one_line(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2):
        sp.save_npz(own / f"layer-{number}.npz", sp.csr_array(1e38 * np.eye(3)))
    for kernel in ("fused", "spgemm"):
        options = ["--data", str(own), "--kernel", kernel, "--verify", "none"]
        fails(capsys, options, "layer 2", "overflow float32")
        assert main.main([*options, "--dtype", "float64", "--quiet"]) == 0


@pytest.mark.parametrize("option", ["--json", "--categories", "--outputs"])
def test_files_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_command, "load_arguments", lambda _: pytest.fail("checked too late"))
    existing = tmp_path / "existing.npy"
    existing.mkdir()
    missing = str(tmp_path / "no" / "r.npy")
    fails(capsys, [*SMALL, option, missing], "is not a folder; make it first")
    fails(capsys, [*SMALL, option, str(existing)], "is a folder")
    fails(capsys, [*SMALL, option, "/proc/kkspdnn.npy"], "cannot be written")
    other = "--json" if option == "--outputs" else "--outputs"
    same = str(tmp_path / "same.npy")
    fails(capsys, [*SMALL, option, same, other, same], "give two files")


@pytest.mark.slow
def test_a_cache_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (str(tmp_path / "file"), "/proc/nope/cache"):
        done = run(*SMALL, "--json", str(tmp_path / "r.json"), KKSPDNN_CACHE=folder)
        assert (done.returncode, done.stdout) == (2, "")
        one_line(done.stderr, "KKSPDNN_CACHE")
        assert not (tmp_path / "r.json").exists()


@pytest.mark.slow
def test_no_compiler_is_one_line(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    done = run(*SMALL, PATH=str(tmp_path), CXX="", KKSPDNN_CACHE=str(cache))
    assert (done.returncode, done.stdout) == (2, "")
    one_line(done.stderr, "g++")


# Terminals, pipes and interrupts


def slow_compiler(tmp_path: Path, seconds: int) -> dict[str, str]:
    """Return the variables of a slow compiler, which fails, and of an empty cache."""
    script = tmp_path / "slow-g++"
    script.write_text(
        '#!/bin/sh\ncase "$*" in\n*--version*) echo "slow-g++ 1.0";;\n*"-###"*) echo " -march";;\n'
        f"*) sleep {seconds} & echo $! >> {tmp_path}/started; wait; exit 1;;\nesac\n"
    )
    script.chmod(0o755)
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    return {"CXX": str(script), "KKSPDNN_CACHE": str(cache)}


def wait_for(test: Any, seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while not test() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(test())


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    return False


@pytest.mark.slow
def test_ctrl_c_during_a_compile(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "kkspdnn", *SMALL, "--json", str(tmp_path / "r.json")],
        env=environment(**slow_compiler(tmp_path, 100)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    started = tmp_path / "started"
    try:
        assert wait_for(lambda: started.exists() and started.read_text().endswith("\n"))
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, out) == (130, "")
    one_line(error, "interrupted")
    for pid in started.read_text().split():
        assert wait_for(lambda pid=int(pid): not is_alive(pid), 5), "the compiler still runs"
    left = [p for p in (tmp_path / "cache").rglob("*") if p.is_file() and p.suffix != ".lock"]
    assert left == []
    assert not (tmp_path / "r.json").exists()


def run_on_a_terminal(options: list[str], **more: str) -> tuple[int, str]:
    """Return the exit code, and the output on stderr, which is a terminal."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "kkspdnn", *options],
        env=environment(TERM="xterm", **more),
        stdout=subprocess.DEVNULL,
        stderr=slave,
    )
    os.close(slave)
    output = b""
    end = time.monotonic() + 30
    try:
        while time.monotonic() < end:
            if select.select([master], [], [], 0.2)[0]:
                chunk = os.read(master, 65536)
                if not chunk:
                    break
                output += chunk
    except OSError:  # Linux raises it if the other end is closed.
        pass
    finally:
        if time.monotonic() >= end:
            process.kill()
        process.wait()
        os.close(master)
    return process.returncode, output.decode()


@pytest.mark.slow
def test_a_bar_on_a_terminal_during_a_long_compile(tmp_path: Path) -> None:
    slow = slow_compiler(tmp_path, 2)
    code, output = run_on_a_terminal(SMALL, **slow)
    assert code == 2
    assert "starting Kokkos" in output
    assert "kkspdnn: " in output
    code, output = run_on_a_terminal([*SMALL, "--quiet"], **slow)
    assert code == 2
    assert "starting Kokkos" not in output


@pytest.mark.slow
def test_no_bar_for_a_short_run_and_none_in_a_pipe(tmp_path: Path) -> None:
    code, output = run_on_a_terminal(SMALL)
    assert (code, output) == (0, "")
    done = run(*SMALL, **slow_compiler(tmp_path, 2))
    assert done.returncode == 2
    one_line(done.stderr)
    assert "\x1b" not in done.stderr


@pytest.mark.slow
def test_output_that_cannot_be_written() -> None:
    command = f"{sys.executable} -m kkspdnn {' '.join(SMALL)}"

    def shell(rest: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", f"set -o pipefail; {command} {rest}"],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    closed_pipe = shell("| true")
    assert (closed_pipe.returncode, closed_pipe.stderr) == (141, "")
    closed = shell(">&-")
    assert (closed.returncode, closed.stderr) == (0, "")
    full = shell("> /dev/full")
    assert full.returncode == 2
    one_line(full.stderr, "No space left")
    full = shell("--json /dev/full")
    assert full.returncode == 2
    assert "categories  " in full.stdout
    one_line(full.stderr, "/dev/full", "No space left")
    both = shell("--json /dev/stdout --quiet")
    assert json.loads(both.stdout)["layers"] == 3
    full = shell("--json - > /dev/full")
    assert full.returncode == 2
    assert full.stderr.splitlines()[-1] == "kkspdnn: No space left on device"
    assert "categories  " in full.stderr
    piped = shell(f"--json - | {sys.executable} -m json.tool")
    assert piped.returncode == 0
    assert json.loads(piped.stdout)["layers"] == 3
    assert "verified    passed" in piped.stderr
    closed = shell("--json - >&-")
    assert closed.returncode == 2
    one_line(closed.stderr, "standard output (-) is closed")


@pytest.mark.slow
def test_the_other_outputs_are_written_if_one_fails(tmp_path: Path) -> None:
    files = ["--categories", str(tmp_path / "c.txt"), "--outputs", str(tmp_path / "y.npy")]
    done = run(*SMALL, *files, "--json", "/dev/full")
    assert done.returncode == 2
    assert "verified    passed" in done.stdout
    one_line(done.stderr, "/dev/full", "No space left")
    assert np.load(tmp_path / "y.npy").shape == (50, 64)
    assert len((tmp_path / "c.txt").read_text().split()) == np.count_nonzero(
        np.load(tmp_path / "y.npy").any(axis=1)
    )


def test_ctrl_c_during_imports(tmp_path: Path) -> None:
    """The import of NumPy is interrupted, and turns KeyboardInterrupt into ImportError."""
    (tmp_path / "numpy.py").write_text(
        "import os, signal\n"
        "try:\n    os.kill(os.getpid(), signal.SIGINT)\n"
        "except BaseException as error:\n    raise ImportError('numpy is broken') from error\n"
    )
    for options in (SMALL, ["info"], ["compile"], ["prune", "x.npy", "--out", "y"]):
        done = run(*options, PYTHONPATH=f"{tmp_path}{os.pathsep}{HOME}")
        assert (done.returncode, done.stdout, done.stderr) == (130, "", "kkspdnn: interrupted\n")


# info, help


@pytest.mark.slow
def test_info_reports_every_section() -> None:
    run("info")  # builds what the cache lacks
    done = run("info")
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("g++", "cmake", "/usr", "serial", "openmp", "cuda", "real package"):
        assert word in done.stdout
    assert done.stdout.count("agrees with the reference") == 2
    assert str(default_cache().root) in done.stdout


@pytest.mark.slow
def test_info_without_a_compiler(tmp_path: Path) -> None:
    done = run("info", PATH=str(tmp_path), CXX="")
    assert (done.returncode, done.stderr) == (0, "")
    assert "no C++ compiler" in done.stdout


@pytest.mark.slow
def test_info_with_a_cache_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("info", KKSPDNN_CACHE=str(tmp_path / "file"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "is not a folder" in done.stdout


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for options, word in (
        (["--help"], "kkspdnn COMMAND --help"),
        (["-h"], "commands:"),
        (["run", "--help"], "--kernel"),
        (["--layers", "3", "--help"], "--kernel"),
        (["--version"], "kkspdnn "),
        (["--quiet", "--version"], "kkspdnn "),
    ):
        with pytest.raises(SystemExit) as exited:
            main.main(options)
        assert exited.value.code == 0
        assert word in capsys.readouterr().out


@pytest.mark.slow
def test_help_needs_no_numpy(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("raise ImportError('not for help')\n")
    commands = [[name, "--help"] for name in COMMANDS]
    for options in (["--help"], ["--version"], ["--layers", "x"], *commands):
        done = run(*options, PYTHONPATH=f"{tmp_path}{os.pathsep}{HOME}")
        assert done.returncode == (2 if "x" in options else 0), done.stderr
        assert "numpy" not in done.stderr


def test_the_help_is_ascii() -> None:
    """A terminal in the C locale prints it."""
    for command in COMMANDS.values():
        assert command.parser().format_help().isascii()
    assert root_parser().format_help().isascii()


@pytest.mark.parametrize(
    "option", ["--data", "--rows", "--mnist", "--checkpoint", "--json", "--categories", "--outputs"]
)
def test_an_empty_name_is_not_the_current_folder(
    capsys: pytest.CaptureFixture[str], option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fails(capsys, [*SMALL, option, ""], option, "an empty name; give a path")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_name_after_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    fails(capsys, ["plot", "x.json", "--out", ""], "--out", "an empty name")
    fails(capsys, ["prune", "x.npz", "--out", ""], "--out", "an empty name")


def test_a_device_without_cuda(capsys: pytest.CaptureFixture[str]) -> None:
    fails(capsys, [*SMALL, "--device", "1"], "--device 1 is for --space cuda; leave it out")


@pytest.mark.parametrize("kernel", ["fused", "auto"])
def test_an_epilogue_of_another_kernel(capsys: pytest.CaptureFixture[str], kernel: str) -> None:
    message = "--epilogue separate is for --kernel spgemm; leave it out"
    fails(capsys, [*SMALL, "--kernel", kernel, "--epilogue", "separate"], message)


def test_the_kernel_is_chosen(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    assert main.main([*SMALL, "--kernel", "auto", "--json", str(file)]) == 0
    record = json.loads(file.read_text())
    assert (record["kernel"], record["kernel_auto"]) == ("fused", True)
    density = f"{record['activation_density']:.2g}"
    assert f"kernel fused (automatic, activation density {density})" in capsys.readouterr().out


def test_a_name_with_a_line_break_is_reported_in_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fails(capsys, [*SMALL, "--data", "two\nlines"], "--data two lines: no such folder")
