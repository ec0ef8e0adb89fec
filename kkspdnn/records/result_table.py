"""The table of results that a run prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from kkspdnn.engines import Schedule
from kkspdnn.records.host_load import HostLoad
from kkspdnn.records.run import Gpu, Record
from kkspdnn.units import GB, plural

_EARLY_EXIT = {"all": "of proven rows", "dead": "of zero rows", "none": "off"}
"""The values of `--exits`."""


def result_table(record: Record) -> str:
    """Return the record of a run as lines of labels and values."""
    return "\n".join(f"{name:<12}{text}" for name, text in table_rows(record).items())


def table_rows(record: Record) -> dict[str, str]:
    """Return the labels and values of the table of a run."""
    threads = plural(record.threads, "thread")
    if record.loads:
        threads += f" on {len(record.loads)} ranks"
    computed = record.edges_multiplied / record.inference_seconds
    return {
        "space": f"{record.space}, {threads}, {record.dtype}, {_kernel(record)}, "
        f"early exit {_EARLY_EXIT[record.exits]}",
        "PyKokkos": f"{record.pk}, Kokkos {record.kokkos_version}"
        + (", debug mode: times are not meaningful" if record.debug else ""),
        "network": f"{record.network}: {record.layers:,} layers, {record.edges:,} edges",
        **({"merging": _merging(record)} if record.fold else {}),
        "inputs": f"{record.inputs:,} rows of {record.neurons:,} neurons: {record.inputs_source}",
        "setup": f"load {record.load_seconds:.2f} s, compile {record.compile_seconds:.2f} s, "
        f"pack {record.prepare_seconds:.2f} s",
        "schedule": _schedule(record),
        **({"GPU": _gpu(record.gpus)} if record.gpus else {}),
        **({"ranks": _ranks(record)} if record.loads else {}),
        "inference": _inference(record),
        "rate": f"{record.edges_per_second:.3g} edges/s (inputs x edges / inference)",
        "computed": f"{computed:.3g} edges/s (edges really multiplied / inference)",
        **({"machine": _machine(record.host)} if record.host is not None else {}),
        "categories": f"{record.categories:,}, sha256 {record.categories_sha256[:16]}",
        "memory": _memory(record),
        "verified": _verified(record),
    }


def _kernel(record: Record) -> str:
    epilogue = f" with {record.epilogue} epilogue" if record.epilogue is not None else ""
    density = record.activation_density
    automatic = "automatic" if density is None else f"automatic, activation density {density:.2g}"
    return f"kernel {record.kernel}{epilogue}" + (f" ({automatic})" if record.kernel_auto else "")


def _merging(record: Record) -> str:
    return (
        f"{record.neurons_before_fold:,} neurons to {record.neurons_after_fold:,}, "
        f"{record.edges:,} edges to {record.edges_after_fold:,}: equal neurons computed once"
    )


def _schedule(record: Record) -> str:
    schedule = record.order or Schedule()
    batches = ""
    if schedule.chunk_rows:
        size = f"{schedule.chunk_rows:,}"
        batches = f"{schedule.chunk_layers:,} layers in batches of {size} rows, "
        if schedule.again_layers:
            batches += f"{schedule.again_layers:,} more in batches of {size} remaining rows, "
    depth = schedule.layers_a_launch
    bits = ", first layer counts bits" if schedule.bits_counted else ""
    tuned = record.launch is not None and record.launch.source == "tuned"
    return (
        f"{batches}up to {plural(depth, 'layer')} per launch{bits}"
        f"{', tuned launch parameters' if tuned else ''}"
    )


def _inference(record: Record) -> str:
    text = f"{record.inference_seconds:.3f} s"
    times = record.repeat_seconds
    if len(times) > 1:
        text += f", median of {len(times)} ({min(times):.3f} to {max(times):.3f})"
    if record.saved_rows:
        text += f", excluding {record.saved_rows:,} rows of the checkpoint"
    return text


def _gpu(gpus: Sequence[Gpu]) -> str:
    if len(gpus) == 1:
        text = f"{gpus[0].name}, {gpus[0].arch}, device {gpus[0].number} of {gpus[0].host}"
    else:
        names = Counter(gpu.name for gpu in gpus)
        nodes = len({gpu.host for gpu in gpus})
        text = ", ".join(f"{count} {name}" for name, count in names.items())
        text += f" on {plural(nodes, 'node')}"
    ranks = max(len(gpu.ranks) for gpu in gpus)
    if ranks > 1:
        text += f", {'up to ' if len(gpus) > 1 else ''}{ranks} ranks per GPU"
    return text


def _ranks(record: Record) -> str:
    nodes = len({load.host for load in record.loads})
    seconds = [load.seconds for load in record.loads]
    layers = [str(load.layers) for load in record.loads]
    return (
        f"{record.parallel} parallel on {plural(nodes, 'node')}"
        + (f", layers {' + '.join(layers)}" if record.parallel == "pipeline" else "")
        + f"; computed {min(seconds):.3f} to {max(seconds):.3f} s each, imbalance "
        f"{record.imbalance:.2f} (longest over mean)"
    )


def _machine(host: HostLoad) -> str:
    average = f", load average {host.load_average:.1f}" if host.load_average is not None else ""
    return host.summary + average + ("; the machine is busy" if host.busy else "")


def _memory(record: Record) -> str:
    peak, budget = record.peak_memory_bytes or 0, record.memory_budget_bytes
    text = f"peak {peak / GB:.2f} GB" + (f" of {budget / GB:g} GB" if budget is not None else "")
    return text + f", {record.layers_held:,} of {record.layers:,} layers cached"


def _verified(record: Record) -> str:
    verified = record.verified
    if verified.mode == "none":
        return "no"
    text = (
        f"{'passed' if verified.passed else 'FAILED'}: {verified.rows:,} rows against the serial "
        f"reference, largest error {verified.max_abs_error:.3g}"
    )
    if not verified.speedup:
        return text
    return f"{text}, {verified.speedup:.1f} times as fast as the reference"
