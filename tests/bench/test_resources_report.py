"""The report on the CUDA kernels: its record, its tables in the docs, and differences."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.resources import cli
from bench.resources.compare import differences
from bench.resources.measure import measure
from bench.resources.record import Kernel, Report, read_report
from bench.resources.table import BEGIN, END, replaced
from kkspdnn.errors import InputError, ToolchainError
from kkspdnn.pk.build.disassemble import cuda_disassembler
from kkspdnn.pk.build.nvcc import nvcc_path

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "bench" / "results" / "resources-cuda.json"
SINGLE_LOADS = RECORD.with_name("resources-cuda-single-loads.json")
DOCS = ROOT / "docs" / "cuda-resources.md"
STALE = (
    "if this change is intended, update the record: run python -m bench.resources "
    "--json bench/results/resources-cuda.json --docs docs/cuda-resources.md"
)


@pytest.fixture(scope="module")
def record() -> Report:
    return read_report(RECORD)


def changed(report: Report, name: str, **fields: object) -> Report:
    """Replace fields in the kernels of a name: usage_NAME, or loop_NAME of the first loop."""

    def change(kernel: Kernel) -> Kernel:
        if kernel.name != name:
            return kernel
        for field, value in fields.items():
            owner, _, inner = field.partition("_")
            if owner == "usage":
                kernel = replace(kernel, usage=replace(kernel.usage, **{inner: value}))
            else:
                first = replace(kernel.loops[0], **{inner: value})
                kernel = replace(kernel, loops=(first, *kernel.loops[1:]))
        return kernel

    return replace(report, kernels=tuple(change(each) for each in report.kernels))


def test_the_docs_contain_the_tables_of_the_record(record: Report) -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert text == replaced(text, record, "docs"), STALE


def test_the_record_has_every_fused_workunit_and_hardly_any_spills(record: Report) -> None:
    names = {"count_edges", "fused_counts", "fused_csr", "fused_equal", "fused_fan_in"}
    names |= {"fused_groups"}
    for arch in ("sm_80", "sm_90"):
        found = {each.name for each in record.kernels if each.arch == arch}
        assert found == {*names, "kkspdnn_hand_equal", "kkspdnn_hand_fan_in"}
    assert len({each.key for each in record.kernels}) == len(record.kernels)
    for each in record.kernels:
        # Two registers of eight sums, before the loop over edges.
        most = 8 if each.name == "fused_groups" else 0
        assert each.usage.stack_bytes <= most
        assert each.usage.local_bytes == 0
        rows = 2 if each.dtype == "float64" else 4
        assert [loop.rows for loop in each.loops] == ([rows, 1] if each.is_workunit else [rows])


def test_a_thread_has_eight_loads_of_16_bytes_in_flight(record: Report) -> None:
    """At most 1.1 wavefronts an edge: 1 for each activation, the rest for indices and weights."""
    for each in record.kernels:
        loop = each.loops[0]
        if each.name == "fused_groups":
            # A load of an activation serves eight edges.
            assert loop.wavefronts_per_edge < (0.2 if each.dtype == "float32" else 0.6)
        elif each.is_workunit and each.dtype == "float32":
            assert loop.in_flight >= 8
            assert loop.activation_bytes == loop.index_bytes == (16,)
            assert loop.wavefronts_per_edge <= 1.1


def test_a_record_is_read_as_it_was_written(record: Report, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(record.to_json())
    assert read_report(path) == record


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("kkspdnn-resources/1", "kkspdnn-bench/1", ": kind: not a record of python -m bench"),
        ('"nvcc"', '"cc"', ": cc: no such field"),
        ('"stack_bytes": 0', '"stack_bytes": "0"', "stack_bytes: '0' is not a whole number"),
        ("{", "", ":2: not JSON"),
    ],
)
def test_invalid_records_are_refused(
    record: Report, tmp_path: Path, before: str, after: str, message: str
) -> None:
    path = tmp_path / "record.json"
    path.write_text(record.to_json().replace(before, after, 1))
    with pytest.raises(InputError) as raised:
        read_report(path)
    assert message in str(raised.value)
    assert str(raised.value).startswith(str(path))


def test_a_document_needs_both_marks(record: Report) -> None:
    for text in ("", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"):
        with pytest.raises(InputError, match="docs: must contain the lines"):
            replaced(text, record, "docs")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("usage_registers", 128, "worse: 128 registers"),
        ("usage_stack_bytes", 8, "worse: 8 bytes of stack, 0 in the record"),
        ("loop_instructions", 1000, "instructions per edge"),
        ("loop_wavefronts", 1000, "L1 wavefronts per edge"),
        ("loop_latencies", 40.0, " latencies per edge, "),
        ("loop_in_flight", 1, "worse: 1 loads in flight"),
        ("loop_activation_bytes", (1,), "worse: 1 bytes per load"),
        ("usage_registers", 8, "differs from the record in usage"),
        ("loop_instructions", 10, "differs from the record in loops"),
        ("loop_rows", 8, "worse: no loop over edges computes "),
        ("loop_in_flight", 32, "differs from the record in loops"),
    ],
)
def test_worse_and_outdated_kernels(
    record: Report, field: str, value: object, message: str
) -> None:
    assert not list(differences(record, record))
    found = list(differences(record, changed(record, "fused_equal", **{field: value})))
    assert len(found) == 4  # two dtypes, two architectures
    assert all(line.startswith("fused_equal (float") and message in line for line in found)


def test_added_and_removed_kernels(record: Report) -> None:
    less = replace(record, kernels=record.kernels[1:])
    gone = record.kernels[0]
    (line,) = differences(less, record)
    assert line == f"{gone.name} ({gone.dtype}, {gone.arch}): not in the record"
    others = tuple(each for each in record.kernels if each.name != "fused_equal")
    lines = list(differences(record, replace(record, kernels=others)))
    assert len(lines) == 4
    assert all("in the record, but no longer compiled" in line for line in lines)
    # Architectures and dtypes that were not compiled are ignored; hand-written kernels always are
    # compiled.
    half = tuple(k for k in record.kernels if k.arch == "sm_90" and k.dtype != "float32")
    half += tuple(k for k in record.kernels if k.arch == "sm_90" and k.launch == "own")
    assert not list(differences(record, replace(record, kernels=half)))


def test_resident_warps(record: Report) -> None:
    """65,536 registers per SM, allocated in units of 256 per warp, and warps in units of four."""
    kernel = record.kernels[0]
    for registers, warps in ((16, 64), (32, 64), (33, 48), (40, 48), (48, 40), (64, 32), (255, 8)):
        assert replace(kernel, usage=replace(kernel.usage, registers=registers)).warps == warps


def test_the_command_with_a_record(
    record: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    docs, other = tmp_path / "docs.md", tmp_path / "other.json"
    docs.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n")
    assert cli.main(["--record", str(RECORD), "--docs", str(docs)]) == 0
    assert "### sm_90: kernels" in capsys.readouterr().out
    assert docs.read_text().startswith(f"# Title\n\n{BEGIN}\n\nnvcc release")
    assert "old" not in docs.read_text()
    other.write_text(changed(record, "fused_csr", usage_registers=8).to_json())
    assert cli.main(["--record", str(RECORD), "--against", str(other)]) == 1
    assert "fused_csr (float32, sm_80): worse: " in capsys.readouterr().out
    assert cli.main(["--record", str(tmp_path / "none.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_the_compiler_s_code_is_no_worse_than_the_record(record: Report) -> None:
    """Of the fused workunits in float32 for sm_90."""
    if nvcc_path() is None:
        pytest.skip("no nvcc, see kkspdnn info")
    try:
        cuda_disassembler()
    except ToolchainError as error:
        pytest.skip(str(error))
    now = measure(["sm_90"], ["float32"])
    if (now.nvcc, now.kokkos_version) != (record.nvcc, record.kokkos_version):
        pytest.skip(
            f"compiled by {now.nvcc} with Kokkos {now.kokkos_version}; "
            f"the record is of {record.nvcc} and Kokkos {record.kokkos_version}"
        )
    found = list(differences(record, now))
    assert not found, "\n".join([*found, STALE])


def test_the_docs_compare_batched_loads_with_the_record_before(record: Report) -> None:
    before = {each.key: each for each in read_report(SINGLE_LOADS).kernels}
    text = DOCS.read_text(encoding="utf-8")
    _, _, rest = text.partition("<!-- before and after: begin -->\n")
    lines = rest.partition("<!-- before and after: end -->")[0].splitlines()[2:]
    expected = [
        f"| `{each.name}` | " + " | ".join(_compared(before[each.key], each)) + " |"
        for each in record.kernels
        if each.arch == "sm_90" and each.dtype != "float64" and each.is_workunit
        if each.key in before
    ]
    assert lines == expected


def _compared(before: Kernel, now: Kernel) -> list[str]:
    return [f"{old}, now {new}" for old, new in zip(_cells(before), _cells(now), strict=True)]


def _cells(kernel: Kernel) -> list[str]:
    loop = kernel.loops[0]
    return [
        str(kernel.usage.registers),
        str(loop.in_flight * loop.activation_bytes[0]),
        f"{32 * loop.latencies / loop.row_edges:g}",
        f"{loop.instructions_per_edge:.2f}",
        f"{loop.wavefronts_per_edge:.2f}",
    ]
