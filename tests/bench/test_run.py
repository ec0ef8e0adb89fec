"""`python -m bench`: small runs, their records, failures, and comparison of two records."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.__main__ import main
from bench.expected_results import compute_expected
from bench.peers.scipy_peers import ScipyCsr
from bench.problem import ChallengeProblem
from bench.processes import Worker, WorkerError
from bench.report import compare
from bench.runner import Plan, measure
from kkspdnn.cli.problem import load_problem
from kkspdnn.device.cuda_check import cuda_requirements
from kkspdnn.errors import InputError
from kkspdnn.io.shipped_images import images
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer
from kkspdnn.model.network import network
from kkspdnn.model.radixnet import challenge_bias, radixnet
from kkspdnn.records.comparison import Comparison, PeerResult, read_comparison
from kkspdnn.records.run import categories_sha256
from kkspdnn.serial_reference import categories, reference
from tests.refusals import refusal

ROOT = Path(__file__).parents[2]
SMALL = ["--neurons", "64", "--layers", "4", "--inputs", "3000"]


def bench(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    path = tmp_path_factory.mktemp("records") / "a.json"
    only = ["reference", "scipy", "scipy-dense", "spgemm", "all", "cusparse"]
    done = bench("run", *SMALL, "--only", *only, "--seconds", "0.01", "--runs", 5, "--json", path)
    assert done.returncode == 0, done.stderr
    return done.stdout, path


@pytest.mark.slow
def test_the_record_of_a_run(ran: tuple[str, Path]) -> None:
    record = read_comparison(ran[1])
    names = [row.name for row in record.rows]
    assert names == ["reference", "scipy", "scipy-dense", "cusparse", "spgemm", "all"]
    assert record.network is not None
    assert (record.network.neurons, record.network.layers) == (64, 4)
    assert record.network.edges == radixnet(64, 4).edges
    for row in record.measured:
        assert row.inputs is not None
        assert 1000 <= row.inputs <= 3000
        found = categories(reference(radixnet(64, 4), images(64, row.inputs), dtype=np.float32))
        assert (row.categories, row.categories_sha256) == (found.size, categories_sha256(found))
        assert len(row.inference_seconds) == 5
        assert row.edges_multiplied is not None
        assert row.edges_multiplied > 0
    assert {"reference", "scipy", "all"} <= {row.name for row in record.measured}
    assert record.command.startswith("python -m bench run --neurons 64")
    assert record.layers is not None


@pytest.mark.slow
def test_a_run_prints_published_results(ran: tuple[str, Path]) -> None:
    assert "nothing published for 64 neurons and 4 layers" in ran[0]
    assert "Serial reference" in ran[0]
    done = bench("run", "--inputs", 50, "--only", "scipy", "--runs", 1, "--seconds", "0.001")
    assert done.returncode == 0, done.stderr
    assert "OTHER MACHINES, not measured here" in done.stdout
    assert "one NVIDIA A6000, lossy" in done.stdout


@pytest.mark.slow
def test_compare_fails_above_the_threshold(ran: tuple[str, Path], tmp_path: Path) -> None:
    record = read_comparison(ran[1])
    slow = replace(
        record,
        rows=tuple(
            replace(row, inference_seconds=tuple(3 * t for t in row.inference_seconds))
            for row in record.rows
        ),
    )
    path = tmp_path / "slow.json"
    path.write_text(slow.to_json())
    assert bench("compare", ran[1], ran[1]).returncode == 0
    done = bench("compare", ran[1], path)
    assert done.returncode == 1
    assert done.stdout.count("FAILED: above 1.25") == len(record.measured)
    assert bench("compare", ran[1], path, "--threshold", "3.5").returncode == 0
    assert bench("compare", path, ran[1]).returncode == 0


def _record(*rows: PeerResult) -> Comparison:
    problem = load_problem(neurons=64, layers=1, inputs=1)
    assert problem.inputs.rows == 1
    return Comparison(
        created="",
        machine="",
        cpu_features=(),
        threads=2,
        gpu=None,
        compilers={},
        versions={},
        commit=None,
        command="",
        network=None,
        rows=rows,
    )


def test_ratios_are_per_row_and_have_a_spread() -> None:
    old = PeerResult("a", "A", "ok", inputs=100, inference_seconds=(1.0, 2.0, 4.0))
    new = replace(old, inputs=50, inference_seconds=(1.0, 3.0, 3.5))
    (change,) = compare(_record(old), _record(new))
    assert (change.ratio, change.lowest, change.highest) == (3.0, 0.5, 7.0)
    assert change.fails(2.9)
    assert not change.fails(3.0)
    (gone,) = compare(_record(old), _record(replace(old, status="failed", why="it broke")))
    assert gone.fails(1000)
    assert gone.why == "failed: it broke"
    (gone,) = compare(_record(old), _record())
    assert gone.fails(1000)


def test_other_networks_and_threads_are_not_compared() -> None:
    with pytest.raises(InputError, match="cannot compare 2 and 3 threads"):
        compare(_record(), replace(_record(), threads=3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--neurons", "1000"], "1000 neurons: a RadiX-Net has"),
        (["run", "--threads", "0"], "--threads 0: must be at least 1"),
        (["run", "--runs", "0"], "--runs 0: must be at least 1"),
        (["run", "--seconds", "nan"], "--seconds nan: must be above 0"),
        (["run", "--layers", "0"], "--layers 0: must be at least 1"),
        (["run", "--inputs", "0"], "nothing to measure"),
        (["run", "--only", "magic"], "invalid choice: 'magic'"),
        (["run", "--json", "no/where.json"], "make it first"),
        (["active-rows", "--layers", "0"], "nothing to measure"),
        (["ceilings", "--threads", "0"], "--threads 0: must be at least 1"),
        (["compare", "none.json", "none.json"], "none.json: cannot be read"),
        ([], "the following arguments are required"),
    ],
)
def test_errors_are_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert message in refusal(capsys, *arguments, command=main)


@pytest.mark.slow
def test_row_counts_are_those_of_the_reference(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    done = bench(
        "active-rows", "--neurons", "64", "--layers", "5", "--inputs", "200", "--json", path
    )
    assert done.returncode == 0, done.stderr
    layers = read_comparison(path).layers
    assert layers is not None
    y0, whole = images(64, 200), radixnet(64, 5)
    uses = before = y0.to_csr(np.float64)
    # Bounds after layer 5, after layer 4 and so on: a layer maps a row of c to a row of 2 c + bias.
    bias, bounds = challenge_bias(64), [(0.0, 32.0)]
    while len(bounds) < 5:
        bounds.append(((bounds[-1][0] - bias) / 2, (bounds[-1][1] - bias) / 2))
    for depth in range(1, 6):
        values = reference(network(whole.layers[:depth]), y0, dtype=np.float32)
        dense = values.toarray()
        assert layers.alive[depth - 1] == (dense != 0).any(axis=1).sum()
        assert layers.saturated[depth - 1] == (dense == 32).all(axis=1).sum()
        zero_bound, saturation_bound = bounds[5 - depth]
        proven = (dense <= zero_bound).all(axis=1) | (dense >= saturation_bound).all(axis=1)
        assert layers.undecided[depth - 1] == (~proven).sum()
        assert layers.nonzeros[depth - 1] == (dense != 0).sum()
        uses = (before != 0).astype(np.int64) @ (whole.layers[depth - 1].weights() != 0)
        assert layers.products[depth - 1] == uses.sum()
        before = values
    assert f"layer 5: {layers.alive[4]:,} nonzero rows" in done.stdout


def test_computed_edges_of_the_first_rows() -> None:
    weights = np.array([[1, 1], [0, 1]], np.float32)
    layers = [Layer.from_sparse(weights, -0.5), Layer.from_sparse(weights, -0.5)]
    rows = Inputs.from_any(np.array([[1, 0], [0, 1], [0, 0]], np.float32))
    found = compute_expected(network(layers), rows, lambda done: None)
    # Row 0 is (1, 0), then (.5, .5); row 1 is (0, 1), then (0, .5).
    assert found.products.tolist() == [2 + 3, 1 + 1, 0]
    assert found.active_edges.tolist() == [6, 6, 0]
    assert found.computed_edges("products", 1) == 5
    assert found.computed_edges("active", 3) == 12
    assert found.computed_edges("all", 3) == 18
    assert found.computed_edges("own", 3) is None
    assert found.layers.alive == (2, 1)
    assert found.categories_of_first(1).tolist() == [1]


@pytest.mark.slow
def test_a_run_on_a_gpu(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    done = bench("run", *SMALL, "--space", "cuda", "--runs", 1, "--seconds", "0.01", "--json", path)
    if all(each.detected for each in cuda_requirements()):
        assert done.returncode == 0, done.stderr
        record = read_comparison(path)
        assert record.gpu
        measured = {row.name: row.gpu for row in record.measured}
        assert {"cusparse", "cusparse-dense", "hand", "none", "all"} <= measured.keys()
        assert not measured.pop("reference")
        assert all(measured.values())
    else:
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert "--space cuda: this machine has no " in done.stderr
        assert not path.exists()


@pytest.mark.slow
def test_a_peer_of_another_space_is_refused() -> None:
    done = bench("run", *SMALL, "--only", "scipy", "hand")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert (
        "--only hand: not available with --space openmp; choose from reference, octave, "
        in done.stderr
    )


class Unknown(ScipyCsr):
    """A peer with a name that the worker does not know."""

    name = "no-such-peer"


def _plan() -> Plan:
    return Plan(ChallengeProblem(64, 2, 20, seed=0), 1, "openmp", 1, 0.001)


@pytest.mark.slow
def test_wrong_categories_fail_a_row() -> None:
    problem = load_problem(neurons=64, layers=2, inputs=20)
    expected = compute_expected(problem.network, problem.inputs, lambda done: None)
    wrong = replace(expected, categories=np.array([1, 2, 3, 20], np.int64))
    (row,) = measure([ScipyCsr()], _plan(), wrong, lambda doing, done: None)
    assert (row.status, row.agrees) == ("failed", False)
    assert row.why is not None
    assert row.why.startswith("wrong categories: ")


@pytest.mark.slow
def test_a_worker_that_ends_fails_its_row() -> None:
    problem = load_problem(neurons=64, layers=2, inputs=20)
    expected = compute_expected(problem.network, problem.inputs, lambda done: None)
    rows = measure([Unknown(), ScipyCsr()], _plan(), expected, lambda doing, done: None)
    assert (rows[0].status, rows[0].why) == ("failed", "KeyError: 'no-such-peer'")
    assert rows[1].status == "ok"


def test_a_worker_has_a_time_limit() -> None:
    worker = Worker("bench.worker", ("scipy", "openmp"), 1, {"PYTHONINSPECT": "1"})
    try:
        with pytest.raises(WorkerError, match="no answer in 0 s"):
            worker.request({"do": "prepare"}, 0.01)
    finally:
        worker.close()


@pytest.mark.slow
def test_a_worker_ends_with_its_parent() -> None:
    script = """
import os
import signal
from bench.problem import ChallengeProblem
from bench.processes import Worker

worker = Worker("bench.worker", ("scipy", "openmp"), 1, {})
problem = ChallengeProblem(64, 2, 20, seed=0).to_message()
worker.request({"do": "prepare", "problem": problem, "inputs": 20, "threads": 1}, 60)
print(worker._process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    worker = Path("/proc") / done.stdout.strip()
    assert worker != Path("/proc")
    for _ in range(100):
        try:
            state = (worker / "status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return
        if "Z (zombie)" in state:
            return
        time.sleep(0.1)
    pytest.fail("the worker still runs")


@pytest.mark.slow
def test_machine_ceilings(tmp_path: Path) -> None:
    path = tmp_path / "ceilings.json"
    done = bench("ceilings", "--threads", 1, "--json", path)
    assert done.returncode == 0, done.stderr
    found = read_comparison(path).ceilings
    assert found is not None
    assert found.threads == 1
    assert found.l1_bytes_per_second > found.memory_bytes_per_second > 1e8
    assert found.edges_per_second > 1e8
    assert os.path.getsize(path) > 0
