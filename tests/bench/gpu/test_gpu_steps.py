"""The command line of each step is valid."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import bench.__main__
import bench.ceiling.cli
import bench.gpu.cli
import kkspdnn.cli.compile
import kkspdnn.cli.tune
from bench.gpu import steps
from bench.gpu.steps import SPACES, Session, Step, first_steps, second_steps
from bench.peers import all_peers
from kkspdnn.pk.system.cuda_driver import Device

ROOT = Path(__file__).parents[3]


def sessions() -> Iterator[Session]:
    for space, small, has_device in itertools.product(SPACES, (False, True), (False, True)):
        arch = "sm_90" if space == "cuda" else None
        yield Session(space, small, Path("r"), has_device, arch, Path("e"))


def all_steps() -> Iterator[Step]:
    for session in sessions():
        yield from first_steps(session)
        yield from second_steps(session)


@pytest.mark.parametrize("steps_of", [first_steps, second_steps])
def test_names_are_unique_and_the_environment_comes_first(
    steps_of: Callable[[Session], Iterator[Step]],
) -> None:
    for session in sessions():
        names = [step.name for step in steps_of(session)]
        assert names[0] == "environment"
        assert len(names) == len(set(names))


def test_parsers_accept_all_commands() -> None:
    seen = set()
    for step in all_steps():
        module, *options = step.command[step.command.index("-m") + 1 :]
        seen.add(module)
        if module == "bench.gpu":
            assert bench.gpu.cli.parser().parse_args(options).records == Path("r")
        elif module == "bench.ceiling":
            bench.ceiling.cli.parser().parse_args(options)
        elif module == "bench":
            arguments = bench.__main__.parser().parse_args(options)
            assert set(arguments.only) <= set(all_peers(arguments.space))
        elif module == "kkspdnn":
            command = {"compile": kkspdnn.cli.compile, "tune": kkspdnn.cli.tune}[options[0]]
            command.parser().parse_args(options[1:])
        else:
            assert module == "pytest"
            assert all((ROOT / each).exists() for each in options if each.startswith("tests/"))
    assert seen == {"bench.gpu", "bench.ceiling", "bench", "kkspdnn", "pytest"}


def test_every_command_has_a_module() -> None:
    for name in (*bench.gpu.cli.STEP_COMMANDS, "pack", "run"):
        assert (ROOT / "bench" / "gpu" / f"{name}.py").is_file()


def test_a_record_is_named_after_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert steps.record_label("openmp") == "openmp"
    monkeypatch.setattr(steps, "devices", lambda: ())
    assert steps.record_label("cuda") == "cuda"
    gpus = (Device(0, "NVIDIA H100 80GB HBM3", "sm_90"),)
    monkeypatch.setattr(steps, "devices", lambda: gpus)
    assert steps.record_label("cuda") == "cuda-h100-80gb-hbm3"
