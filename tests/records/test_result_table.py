"""The printed table: the kernel, and the line of the GPUs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kkspdnn.inference import infer
from kkspdnn.inference.run_record import used_gpus
from kkspdnn.model.radixnet import radixnet
from kkspdnn.pk.system.cuda_driver import Device
from kkspdnn.records.result_table import result_table
from kkspdnn.records.run import Record

HOPPER = [Device(n, "H100", "sm_90", f"uuid-{n}") for n in range(4)]
AMPERE = Device(0, "A100", "sm_80", "uuid-a")


@pytest.fixture(scope="module")
def record() -> Record:
    return infer(radixnet(64, 2), np.ones((3, 64), np.float32), space="serial").record


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "kernel fused"),
        ({"kernel": "spgemm", "epilogue": "separate"}, "kernel spgemm with separate epilogue"),
        ({"kernel_auto": True}, "kernel fused (automatic)"),
        (
            {"kernel_auto": True, "activation_density": 0.12345},
            "kernel fused (automatic, activation density 0.12)",
        ),
        (
            {
                "kernel": "spgemm",
                "epilogue": "fused",
                "kernel_auto": True,
                "activation_density": 0.005,
            },
            "kernel spgemm with fused epilogue (automatic, activation density 0.005)",
        ),
        # A record from before the option.
        ({"kernel": "spgemm"}, "kernel spgemm"),
    ],
)
def test_kernel(record: Record, changes: dict[str, Any], text: str) -> None:
    line = result_table(replace(record, **changes)).splitlines()[0]
    assert line.endswith(f"float32, {text}, early exit of proven rows")


def test_the_spread_of_repetitions(record: Record) -> None:
    def line(**changes: Any) -> str:
        lines = result_table(replace(record, inference_seconds=0.5, **changes)).splitlines()
        return next(line for line in lines if line.startswith("inference"))

    assert line(repeat_seconds=()) == line(repeat_seconds=(0.5,)) == "inference   0.500 s"
    assert line(repeat_seconds=(0.5, 0.25, 1.0)).endswith("0.500 s, median of 3 (0.250 to 1.000)")


def test_no_line_on_a_cpu(record: Record) -> None:
    assert record.gpus == ()
    assert "GPU" not in result_table(record)


@pytest.mark.parametrize(
    ("devices", "text"),
    [
        ([("n1", HOPPER[2])], "H100, sm_90, device 2 of n1"),
        ([("n1", HOPPER[0])] * 2, "H100, sm_90, device 0 of n1, 2 ranks per GPU"),
        ([("n1", each) for each in HOPPER], "4 H100 on 1 node"),
        # The launcher assigned one GPU to each rank: each has the number 0.
        ([("n1", replace(each, number=0)) for each in HOPPER], "4 H100 on 1 node"),
        ([(f"n{n // 4}", HOPPER[n % 4]) for n in range(8)], "8 H100 on 2 nodes"),
        (
            [("n1", AMPERE), ("n2", HOPPER[0]), ("n1", AMPERE)],
            "1 A100, 1 H100 on 2 nodes, up to 2 ranks per GPU",
        ),
        # A driver without UUIDs.
        ([("n1", replace(each, uuid="")) for each in HOPPER[:2]], "2 H100 on 1 node"),
    ],
)
def test_gpus_of_ranks(record: Record, devices: list[tuple[str, Device]], text: str) -> None:
    gpus = used_gpus(devices)
    assert sorted(rank for gpu in gpus for rank in gpu.ranks) == list(range(len(devices)))
    for gpu in gpus:
        for rank in gpu.ranks:
            host, device = devices[rank]
            assert (gpu.host, gpu.uuid, gpu.arch) == (host, device.uuid, device.arch)
    lines = result_table(replace(record, gpus=gpus)).splitlines()
    assert [line for line in lines if line.startswith("GPU")] == [f"{'GPU':<12}{text}"]
