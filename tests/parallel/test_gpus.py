"""GPUs for the ranks of a node, with a driver that only counts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kkspdnn.parallel.gpus import VisibleGpus, assign_gpus

Run = Callable[..., tuple[int, str, str]]


@given(st.integers(1, 8), st.integers(1, 20))
def test_ranks_that_see_the_same_gpus_use_them_in_turn(gpus: int, ranks: int) -> None:
    visible = [VisibleGpus(tuple("ABCDEFGH"[:gpus]))] * ranks
    assert assign_gpus(visible) == [rank % gpus for rank in range(ranks)]


@given(st.lists(st.sampled_from(["AB", "CDE", "F", ""]), min_size=1, max_size=12))
def test_ranks_that_see_some_gpus_of_a_node(visible: list[str]) -> None:
    """Ranks that see the same GPUs are distributed evenly, in any order of the ranks."""
    numbers = assign_gpus([VisibleGpus(tuple(gpus)) for gpus in visible])
    ranks_on = Counter(gpus[n] for gpus, n in zip(visible, numbers, strict=True) if n is not None)
    for gpus in set(visible) - {""}:
        counts = [ranks_on[gpu] for gpu in gpus]
        assert sum(counts) == visible.count(gpus)
        assert max(counts) - min(counts) <= 1
    assert numbers.count(None) == visible.count("")


@pytest.mark.parametrize(
    ("visible", "numbers"),
    [
        # --gpus-per-task=1: each rank sees another GPU.
        ([VisibleGpus(("A",)), VisibleGpus(("B",)), VisibleGpus(("C",))], [0, 0, 0]),
        # Ranks see two different pairs of GPUs, in turn.
        ([VisibleGpus(("A", "B")), VisibleGpus(("C", "D"))] * 2, [0, 0, 1, 1]),
        # A rank that sees only one GPU has priority.
        ([VisibleGpus(("A", "B")), VisibleGpus(("A",))], [1, 0]),
        # A requested GPU is used; other ranks avoid it.
        ([VisibleGpus(("A", "B"), 0), VisibleGpus(("A", "B"))], [0, 1]),
        ([VisibleGpus(("A", "B"), 1)] * 3, [1, 1, 1]),
        # An invalid number is refused later.
        ([VisibleGpus(("A", "B"), 2), VisibleGpus(("A", "B"))], [None, 0]),
        ([VisibleGpus(("A", "B"), -1), VisibleGpus(("A", "B"))], [None, 0]),
        ([VisibleGpus(()), VisibleGpus((), 0)], [None, None]),
    ],
)
def test_examples(visible: list[VisibleGpus], numbers: list[int | None]) -> None:
    assert assign_gpus(visible) == numbers


@pytest.fixture
def devices(run: Run, fake_driver: Path) -> Callable[..., tuple[list[str], str]]:
    """Return what each rank prints about its GPU, and the log."""

    def of_ranks(ranks: int, *arguments: str, **variables: str) -> tuple[list[str], str]:
        script = Path(__file__).with_name("which_gpu.py")
        paths = {"LD_LIBRARY_PATH": str(fake_driver), "FAKE_GPUS": "0,1,2", **variables}
        code, out, err = run(ranks, "-W", "error", "-m", "mpi4py", script, *arguments, **paths)
        assert code == 0, err
        return sorted(out.splitlines()), err

    return of_ranks


Devices = Callable[..., tuple[list[str], str]]


@pytest.mark.slow
def test_each_rank_uses_the_device_of_its_local_rank(devices: Devices) -> None:
    printed, log = devices(3)
    assert printed == [f"rank {n}: device {n}, Fake GPU {'ABC'[n]}, 1 on it" for n in range(3)]
    assert log == ""


@pytest.mark.slow
def test_more_ranks_than_devices(devices: Devices) -> None:
    printed, log = devices(3, FAKE_GPUS="0,1")
    assert printed == [
        "rank 0: device 0, Fake GPU A, 2 on it",
        "rank 1: device 1, Fake GPU B, 1 on it",
        "rank 2: device 0, Fake GPU A, 2 on it",
    ]
    assert "2 ranks share device 0 (Fake GPU A) of " in log
    assert log.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "variables"),
    [(["--device", "1"], {}), ([], {"KOKKOS_DEVICE_ID": "1"})],
)
def test_the_requested_device_is_used(
    devices: Devices, arguments: list[str], variables: dict[str, str]
) -> None:
    printed, log = devices(2, *arguments, **variables)
    assert printed == [f"rank {n}: device 1, Fake GPU B, 2 on it" for n in range(2)]
    assert "2 ranks share device 1 (Fake GPU B) of " in log


@pytest.mark.slow
@pytest.mark.parametrize("each", ["CUDA_VISIBLE_DEVICES", "FAKE_GPUS"])
def test_each_rank_sees_one_device(devices: Devices, each: str) -> None:
    """By the variable, or because other devices are hidden, as Slurm's ConstrainDevices does."""
    printed, log = devices(3, "--each", each)
    assert printed == [f"rank {n}: device 0, Fake GPU {'ABC'[n]}, 1 on it" for n in range(3)]
    assert log == ""


@pytest.mark.slow
def test_the_record_names_every_gpu(devices: Devices, tmp_path: Path) -> None:
    printed, log = devices(3, "--infer", str(tmp_path / "record.json"), FAKE_GPUS="5,1")
    assert printed == [
        "GPU device 0 (Fake GPU F, sm_90) with ranks 0, 2",
        "GPU device 1 (Fake GPU B, sm_90) with ranks 1",
        "table GPU         1 Fake GPU F, 1 Fake GPU B on 1 node, up to 2 ranks per GPU",
    ]
    assert "2 ranks share device 0 (Fake GPU F) of " in log
