"""Time to read one challenge layer on one core: `python -m bench.reading`.

The layer belongs to a RadiX-Net and is written to a temporary folder in the challenge's format.
Every file is read once before the clock starts, so that it is in the page cache and the parser is
compiled.

    text, gz                  parse the text file
    cached_text, cached_gz    hash the text file, then read the layer from the layer cache
    binary                    read the layer from the layer cache by its known key
"""

from __future__ import annotations

import gzip
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np

from bench.environment import collect_environment
from bench.measurement import run_measurement
from kkspdnn.cli.parser import Parser, positive_int
from kkspdnn.io.challenge import write_network
from kkspdnn.io.challenge_layers import FileLayers, load_layer
from kkspdnn.io.challenge_names import layer_path
from kkspdnn.io.layer_cache import LayerCache
from kkspdnn.model.layers import Layer
from kkspdnn.model.network import network
from kkspdnn.model.radixnet import challenge_bias, radixnet

METHODS = ("text", "gz", "cached_text", "cached_gz", "binary")
_REPEATS = 5
_LIMIT = 1 << 40  # size limit of the layer cache in bytes, never reached


def main() -> int:
    """Measure, print a table and write the record; return the exit code."""
    parser = Parser(prog="python -m bench.reading")
    parser.add_argument(
        "--neurons", type=positive_int, default=65536, help="neurons of the layer (65536)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the record")
    arguments = parser.parse_args()

    def measured() -> tuple[str, int]:
        record = _measured(arguments.neurons)
        print(f"{record['neurons']:,} neurons, {record['edges']:,} edges, {record['machine']}")
        for method in METHODS:
            size, seconds = record[f"{method}_bytes"], record[f"{method}_seconds"]
            rate = record[f"{method}_edges_per_second"]
            print(f"{method:12}{size:14,} bytes {seconds:9.4f} s {rate:12.3g} edges/s")
        return json.dumps(record, indent=2) + "\n", 0

    return run_measurement(arguments.json, measured)


def _measured(neurons: int) -> dict[str, Any]:
    # The environment has the number of cores, so it comes before the process is bound to one core.
    header = collect_environment().header("kkspdnn-reading/1", "bench.reading")
    record: dict[str, Any] = {**header, "neurons": neurons}
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    layer = radixnet(neurons, 120).layers[-1]  # its neurons are permuted, as in most layers
    bias = challenge_bias(neurons)
    with TemporaryDirectory() as folder:
        write_network(network([layer]), folder, compress=False)
        plain = layer_path(folder, neurons, 1)
        text = plain.read_bytes().replace(b"\t0.0625\n", b"\t6.250000e-02\n")
        plain.write_bytes(text)
        zipped = plain.with_name(plain.name + ".gz")
        zipped.write_bytes(gzip.compress(text))
        dtype = np.dtype(np.float32)
        read = partial(load_layer, neurons=neurons, bias=bias, dtype=dtype)
        record["edges"] = layer.edges
        cache = LayerCache(Path(folder) / "cache", _LIMIT)
        by_key = FileLayers([plain], neurons, bias, dtype, cache=cache, resident_bytes=0)
        readers = {
            "text": (lambda: read(plain, cache=None)[0], plain),
            "gz": (lambda: read(zipped, cache=None)[0], zipped),
            "cached_text": (lambda: read(plain, cache=cache)[0], plain),
            "cached_gz": (lambda: read(zipped, cache=cache)[0], zipped),
            "binary": (lambda: by_key[0], next((Path(folder) / "cache").iterdir())),
        }
        for method in METHODS:
            reader, path = readers[method]
            seconds = _seconds(reader, layer)
            record[f"{method}_bytes"] = path.stat().st_size
            record[f"{method}_samples"] = seconds
            record[f"{method}_seconds"] = median(seconds)
            record[f"{method}_edges_per_second"] = layer.edges / median(seconds)
    record["cores_used"] = 1
    return record


def _seconds(read: Callable[[], Layer], expected: Layer) -> list[float]:
    """Return the times of several reads, after one whose layer must equal `expected`."""
    layer = read()
    names = ("start", "index", "value", "bias")
    assert all(np.array_equal(getattr(layer, name), getattr(expected, name)) for name in names)
    times = []
    for _ in range(_REPEATS):
        begun = perf_counter()
        read()
        times.append(perf_counter() - begun)
    return times


if __name__ == "__main__":
    sys.exit(main())
