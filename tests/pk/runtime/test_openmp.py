"""OpenMP's settings: thread limits, spinning and binding."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from processes import script

from kkspdnn.pk.build.toolchain import usable_cores
from kkspdnn.pk.runtime import openmp
from kkspdnn.pk.runtime.openmp import numa_nodes, openmp_is_loaded, openmp_start_settings

RUN = """
import sys, logging
logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stdout)
import kkspdnn as kk
net, rows = kk.radixnet(64, 6), kk.images(64, 3000)
threads = int(sys.argv[1]) if sys.argv[1] else None
try:
    for kernel in ("fused", "spgemm"):
        record = kk.infer(net, rows, threads=threads, kernel=kernel, verify="full").record
        print(record.threads, record.verified.passed)
except kk.SpaceError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "threads"),
    [
        ({"OMP_THREAD_LIMIT": "1"}, 1),
        ({"OMP_MAX_ACTIVE_LEVELS": "0", "OMP_NUM_THREADS": "2"}, 2),
        ({"OMP_DYNAMIC": "true", "OMP_NUM_THREADS": "2"}, 2),
        ({"OMP_NESTED": "true", "OMP_NUM_THREADS": "2"}, 2),
        ({"OMP_NUM_THREADS": "2,1"}, 2),
        ({"OMP_NUM_THREADS": "3", "OMP_THREAD_LIMIT": "3"}, 3),
        ({"OMP_NUM_THREADS": "2", "OMP_THREAD_LIMIT": "2", "OMP_DYNAMIC": "true"}, 2),
    ],
    ids=str,
)
def test_variables_that_limit_the_threads(variables: dict[str, str], threads: int) -> None:
    out, _ = script(RUN, "", timeout=100, **variables)
    assert out == 2 * f"{threads} True\n"


@pytest.mark.slow
def test_a_limit_below_omp_num_threads_is_logged() -> None:
    out, _ = script(RUN, "", OMP_NUM_THREADS="4", OMP_THREAD_LIMIT="2")
    warning = "OMP_NUM_THREADS=4, but OMP_THREAD_LIMIT allows 2: running with 2 threads"
    assert out == f"WARNING {warning}\n2 True\n2 True\n"


@pytest.mark.slow
def test_more_threads_than_the_limit_are_refused() -> None:
    out, _ = script(RUN, "2", OMP_THREAD_LIMIT="1", OMP_NUM_THREADS="1")
    assert out == (
        "2 threads: OMP_THREAD_LIMIT allows 1; ask for at most 1, or raise OMP_THREAD_LIMIT\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("text", ["many", "-3", "0", "2x", ",2"])
def test_values_that_openmp_ignores(text: str) -> None:
    """OpenMP warns on stderr and uses its defaults."""
    out, _ = script(RUN, "", OMP_NUM_THREADS=text, OMP_THREAD_LIMIT=text, OMP_DYNAMIC="perhaps")
    assert out == 2 * f"{usable_cores()} True\n"


@pytest.mark.slow
def test_a_quota_limits_the_threads() -> None:
    quota = "from kkspdnn.pk.runtime import kokkos_runtime\nkokkos_runtime.cpu_quota = lambda: 1\n"
    out, _ = script(quota + RUN, "")
    assert out == 2 * "1 True\n"
    out, _ = script(quota + RUN, "", OMP_NUM_THREADS="2")
    assert out == 2 * "2 True\n"


@pytest.mark.slow
def test_the_user_s_number_of_threads_is_not_left_in_the_environment() -> None:
    script(RUN + "import os\nassert 'OMP_NUM_THREADS' not in os.environ\n", "1")


@pytest.mark.slow
def test_other_python_threads_launch_on_all_threads() -> None:
    """OMP_DYNAMIC is a setting of each thread."""
    text = """
import sys
from threading import Thread
import kkspdnn as kk
net, rows = kk.radixnet(64, 6), kk.images(64, 3000)
kk.infer(net, rows)
records = []
for _ in range(3):
    thread = Thread(target=lambda: records.append(kk.infer(net, rows, verify="full").record))
    thread.start()
    thread.join()
print([(record.threads, record.verified.passed) for record in records])
"""
    variables = {"OMP_DYNAMIC": "true", "OMP_MAX_ACTIVE_LEVELS": "0", "OMP_NUM_THREADS": "2"}
    out, _ = script(text, timeout=100, **variables)
    assert out == f"{[(2, True)] * 3}\n"


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Unset all OpenMP variables and fake an x86-64 machine with one NUMA node."""
    for name in list(os.environ):
        if name.startswith(("OMP_", "GOMP_", "KMP_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(openmp, "numa_nodes", lambda _: [[0, 1]])
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    return monkeypatch


def settings(threads: int | None = None) -> dict[str, str]:
    """Return the variables that are set while Kokkos starts, and check that they are restored."""
    before, cores = dict(os.environ), os.sched_getaffinity(0)
    with openmp_start_settings(threads):
        added = {k: v for k, v in os.environ.items() if before.get(k) != v}
    assert dict(os.environ) == before
    assert os.sched_getaffinity(0) == cores
    return added


SPINNING = {"GOMP_SPINCOUNT": "10000", "KMP_BLOCKTIME": "1"}
BINDING = {"OMP_PROC_BIND": "spread", "OMP_PLACES": "{0,1,4},{2,3}"}


def test_threads_spin_briefly(unset: pytest.MonkeyPatch) -> None:
    assert settings() == settings(1) == SPINNING
    unset.setattr("platform.machine", lambda: "aarch64")
    assert settings() == {**SPINNING, "GOMP_SPINCOUNT": "200000"}


def test_threads_are_bound_to_nodes(unset: pytest.MonkeyPatch) -> None:
    unset.setattr(openmp, "numa_nodes", lambda _: [[0, 1, 4], [2, 3]])
    assert settings() == settings(usable_cores()) == {**BINDING, **SPINNING}
    assert settings(usable_cores() + 1) == SPINNING


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("OMP_WAIT_POLICY", "active", BINDING),
        ("GOMP_SPINCOUNT", "infinite", BINDING),
        ("KMP_BLOCKTIME", "200", BINDING),
        ("OMP_PROC_BIND", "false", SPINNING),
        ("OMP_PLACES", "sockets", SPINNING),
        ("GOMP_CPU_AFFINITY", "0", SPINNING),
    ],
)
def test_the_user_s_variables_are_kept(
    unset: pytest.MonkeyPatch, name: str, value: str, expected: dict[str, str]
) -> None:
    unset.setattr(openmp, "numa_nodes", lambda _: [[0, 1, 4], [2, 3]])
    unset.setenv(name, value)
    assert settings() == expected


@pytest.mark.slow
def test_openmp_accepts_these_variables() -> None:
    """It prints its settings on stderr, and a warning for each value that it ignores."""
    text = """
from kkspdnn.pk.runtime import openmp
openmp.numa_nodes = lambda cores: [sorted(cores)[:1], sorted(cores)[-1:]]
import kkspdnn as kk
print(kk.infer(kk.radixnet(64, 6), kk.images(64, 3000), verify="full").record.verified.passed)
"""
    out, errors = script(text, OMP_DISPLAY_ENV="verbose")
    assert out == "True\n"
    if "GOMP_SPINCOUNT" not in errors:
        pytest.skip("OpenMP is not libgomp, or does not print GOMP_SPINCOUNT")
    spins = openmp._SPINS, openmp._SPINS_WITHOUT_PAUSE
    assert any(f"GOMP_SPINCOUNT = '{each}'" in errors for each in spins)
    assert "OMP_PROC_BIND = 'SPREAD'" in errors
    assert "nvalid" not in errors


def test_numa_nodes(tmp_path: Path) -> None:
    assert numa_nodes({0, 1}, tmp_path) == []
    for node, cores in ((0, "0-2,6\n"), (1, "3-5\n"), (2, "\n"), (3, "7\n")):
        (tmp_path / f"node{node}").mkdir()
        (tmp_path / f"node{node}" / "cpulist").write_text(cores)
    assert numa_nodes({0, 2, 3, 5, 6, 9}, tmp_path) == [[0, 2, 6], [3, 5]]
    (tmp_path / "node1" / "cpulist").write_text("malformed")
    assert numa_nodes({0, 2, 3}, tmp_path) == []


def test_openmp_is_detected_in_a_process() -> None:
    text = """
import ctypes
from kkspdnn.pk.runtime.openmp import openmp_is_loaded
print(openmp_is_loaded())
ctypes.CDLL("libgomp.so.1")
print(openmp_is_loaded())
"""
    assert script(text)[0] == "False\nTrue\n"
    assert not openmp_is_loaded(Path("/none"))
