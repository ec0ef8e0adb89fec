"""CPU quotas of control groups, with the folders of Linux, Docker and Kubernetes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kkspdnn.pk.build import toolchain
from kkspdnn.pk.system.cpu_quota import cpu_quota

V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "33 30 0:29 {group} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"


def system(root: Path, cgroup: str, mountinfo: str, files: dict[str, str]) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    (root / "proc/self/mountinfo").write_text(f"23 1 8:1 / / rw - ext4 /dev/sda rw\n{mountinfo}")
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("maximum", "cores"),
    [
        ("200000 100000", 2),
        ("250000 100000", 2),
        ("50000 100000", 1),
        ("1 1000000", 1),
        ("800000 50000", 16),
        ("max 100000", None),
        ("", None),
        ("many", None),
        ("100000 0", None),
    ],
)
def test_a_container_with_version_2(tmp_path: Path, maximum: str, cores: int | None) -> None:
    root = system(tmp_path, "0::/\n", V2, {"cpu.max": f"{maximum}\n"})
    assert cpu_quota(root) == cores


def test_the_smallest_quota_of_the_groups_above_counts(tmp_path: Path) -> None:
    files = {
        "a/cpu.max": "300000 100000\n",
        "a/b/cpu.max": "max 100000\n",
        "a/b/c/cpu.max": "500000 100000\n",
        "a/other/cpu.max": "100000 100000\n",
    }
    assert cpu_quota(system(tmp_path, "0::/a/b/c\n", V2, files)) == 3


@pytest.mark.parametrize("group", ["/", "/docker/1f"])
def test_a_container_with_version_1(tmp_path: Path, group: str) -> None:
    """Docker mounts the container's group at the top, with the path that it has on the host."""
    files = {
        "cpu,cpuacct/cpu.cfs_quota_us": "150000\n",
        "cpu,cpuacct/cpu.cfs_period_us": "50000\n",
    }
    cgroup = f"5:memory:{group}\n4:cpu,cpuacct:{group}\n0::{group}\n"
    assert cpu_quota(system(tmp_path, cgroup, V1.format(group=group), files)) == 3


def test_version_1_without_a_limit(tmp_path: Path) -> None:
    files = {"cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}
    assert cpu_quota(system(tmp_path, "4:cpu,cpuacct:/\n", V1.format(group="/"), files)) is None


def test_nested_groups_of_version_1(tmp_path: Path) -> None:
    files = {}
    for group, quota in (("", -1), ("pods/", 400_000), ("pods/a/", 900_000), ("pods/b/", 100_000)):
        files[f"cpu,cpuacct/{group}cpu.cfs_quota_us"] = f"{quota}\n"
        files[f"cpu,cpuacct/{group}cpu.cfs_period_us"] = "100000\n"
    assert cpu_quota(system(tmp_path, "4:cpu,cpuacct:/pods/a\n", V1.format(group="/"), files)) == 4


def test_both_versions_and_groups_outside_the_mount(tmp_path: Path) -> None:
    """systemd's hybrid layout, and a group that is not mounted in the container."""
    unified = V2.replace("/sys/fs/cgroup", "/sys/fs/cgroup/uni\\040fied")
    mounts = V1.format(group="/docker/1f") + unified
    files = {
        "cpu,cpuacct/cpu.cfs_quota_us": "600000\n",
        "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        "uni fied/cpu.max": "500000 100000\n",
    }
    cgroup = "4:cpu,cpuacct:/docker/another\n0::/../gone\n"
    assert cpu_quota(system(tmp_path, cgroup, mounts, files)) == 5


def test_no_control_groups(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path) is None
    assert cpu_quota(system(tmp_path, "", "", {})) is None


@given(st.text(max_size=60), st.text(max_size=120))
def test_malformed_files_set_no_limit(
    tmp_path_factory: pytest.TempPathFactory, a: str, b: str
) -> None:
    root = tmp_path_factory.mktemp("malformed")
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(a, errors="surrogateescape")
    (root / "proc/self/mountinfo").write_text(b, errors="surrogateescape")
    assert cpu_quota(root) is None


@pytest.mark.parametrize(("quota", "cores"), [(None, 4), (3, 3), (9, 4)])
def test_usable_cores_respect_the_quota(
    monkeypatch: pytest.MonkeyPatch, quota: int | None, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr(toolchain, "cpu_quota", lambda: quota)
    assert toolchain.usable_cores() == cores
    assert toolchain.machine().endswith(f", {cores} cores")
