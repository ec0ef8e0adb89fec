"""A folder with the results of finished row shards, from which an interrupted run resumes.

Each shard is a file, part-I-of-N.npz, that is written whole or not at all. The manifest,
checkpoint.json, has the configuration that the values depend on: layers, input rows and options. It
does not depend on the number of ranks or threads, so a run may resume with others. A SHA-256 covers
every byte of a shard and of the manifest, and is verified before the contents are used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kkspdnn.engines import PartialResult
from kkspdnn.errors import InputError, first_line
from kkspdnn.io.atomic_write import replace_file
from kkspdnn.io.checksum import verify_checksum, write_with_checksum
from kkspdnn.io.json_schema import decode, read_json
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer
from kkspdnn.model.network import Network

FORMAT = "kkspdnn-checkpoint-2"
_MANIFEST = "checkpoint.json"
_CSR_ARRAYS = ("data", "indices", "indptr")

_SHARD_ROWS, _MAX_SHARDS = 8192, 512
"""A new checkpoint has shards of about _SHARD_ROWS rows, and about _MAX_SHARDS shards at most."""

_MANIFEST_MAX_SHARDS = 1 << 24
"""A manifest with more shards is invalid."""


@dataclass(frozen=True)
class Manifest:
    """The contents of checkpoint.json; each field is a key of the file.

    format: the version of the format
    parts: the number of row shards
    facts: the configuration that the values depend on, by name
    sha256: the SHA-256 of the other fields, in hexadecimal
    """

    format: str
    parts: int
    facts: dict[str, str]
    sha256: str

    @classmethod
    def create(cls, shards: int, configuration: Mapping[str, str]) -> Manifest:
        """Return a manifest with its SHA-256."""
        facts = dict(configuration)
        digest = hashlib.sha256(json.dumps([FORMAT, shards, facts], sort_keys=True).encode())
        return cls(FORMAT, shards, facts, digest.hexdigest())


@dataclass(frozen=True)
class Checkpoint:
    """An open checkpoint.

    rows: the number of input rows of all shards; outputs: the number of output neurons
    """

    folder: Path
    manifest: Manifest
    rows: int
    outputs: int

    def save(self, index: int, result: PartialResult) -> None:
        """Write the result of a shard, with rows numbered among all rows."""
        arrays: dict[str, Any] = {"facts": np.array(self._fingerprint(index))}
        arrays |= {"ymax": np.asarray(result.ymax)}
        arrays |= {"rows": result.rows, "saturated": result.saturated}
        arrays["multiplied"] = np.array(result.computed_edges)
        if result.values is not None:
            arrays["valued"] = result.rows if result.value_rows is None else result.value_rows
            arrays |= {name: getattr(result.values, name) for name in _CSR_ARRAYS}
        with replace_file(self._path(index)) as file:
            write_with_checksum(file, lambda stream: np.savez(stream, **arrays))

    def finished_shards(self) -> list[int]:
        """Return the indices of the saved shards, ascending."""
        return [index for index in range(self.manifest.parts) if self._path(index).exists()]

    def load(self, index: int) -> PartialResult:
        """Return the saved result of a shard.

        Raises InputError if the file is damaged or belongs to another run or shard.
        """
        path = self._path(index)
        try:
            with path.open("rb") as file:
                verify_checksum(file)
                with np.load(file, allow_pickle=False) as archive:
                    arrays = {name: archive[name] for name in archive.files}
            fingerprint = str(arrays["facts"])
            result = self._decode(arrays)
        except MemoryError:
            raise
        except Exception as error:
            # A file with a valid checksum may come from another version.
            reason = first_line(error)
            raise InputError(
                f"{path}: is damaged ({reason}); delete it to compute its rows again"
            ) from error
        if fingerprint != self._fingerprint(index):
            raise InputError(
                f"{path}: belongs to another run or shard; delete it, or choose another folder"
            )
        return result

    def _decode(self, arrays: Mapping[str, NDArray[Any]]) -> PartialResult:
        """Return the result in the arrays of a shard's file; ValueError if they are invalid."""
        for name in {"rows", "valued", "saturated"} & arrays.keys():
            rows = arrays[name]
            valid = rows.dtype == np.int64 and rows.ndim == 1 and bool((np.diff(rows) > 0).all())
            if not valid or (rows.size and not 0 <= rows[0] <= rows[-1] < self.rows):
                raise ValueError(f"the array {name} is invalid")
        values, value_rows = None, arrays.get("valued")
        if value_rows is not None:
            csr = tuple(arrays[name] for name in _CSR_ARRAYS)
            values = sp.csr_array(csr, shape=(value_rows.size, self.outputs))
            values.check_format(full_check=True)
        return PartialResult(
            rows=arrays["rows"],
            values=values,
            computed_edges=int(arrays["multiplied"]),
            value_rows=value_rows,
            saturated=arrays["saturated"],
            ymax=arrays["ymax"][()],
        )

    def _fingerprint(self, index: int) -> str:
        """The SHA-256 of the manifest and the index of a shard, in hexadecimal."""
        return hashlib.sha256(
            json.dumps([index, vars(self.manifest)], sort_keys=True).encode()
        ).hexdigest()

    def _path(self, index: int) -> Path:
        return self.folder / f"part-{index + 1}-of-{self.manifest.parts}.npz"


def open_checkpoint(
    folder: Path, configuration: Mapping[str, str], rows: int, outputs: int, divisor: int
) -> Checkpoint:
    """Open the checkpoint in `folder`, or create it if there is none.

    configuration: what the values depend on, by name
    rows, outputs: the number of input rows, and of output neurons
    divisor: the number of shards of a new checkpoint is a multiple of it

    Raises InputError if the folder cannot be used or has a checkpoint of another configuration.
    """
    path = folder / _MANIFEST
    if not path.exists():
        shard_rows = max(_SHARD_ROWS, rows // _MAX_SHARDS)
        shards = divisor * max(1, -(-rows // (divisor * shard_rows)))
        manifest = Manifest.create(shards, configuration)
        if folder.is_dir() and any(folder.glob("part-*-of-*.npz")):
            raise InputError(
                f"checkpoint {folder}: has shards (part-*.npz) but no {_MANIFEST}; empty it first"
            )
        with replace_file(path) as file:
            file.write(json.dumps(vars(manifest), indent=1).encode())
    manifest = _read_manifest(path)
    saved = manifest.facts
    different = [name for name, value in configuration.items() if saved.get(name) != value]
    if different or saved.keys() != configuration.keys():
        what = ", ".join(different) or "configuration"
        raise InputError(
            f"checkpoint {folder}: belongs to a run with another {what}; choose another folder, "
            "or delete it"
        )
    return Checkpoint(folder, manifest, rows, outputs)


def _read_manifest(path: Path) -> Manifest:
    """Return the manifest in a file; InputError if it is damaged or has another format."""
    fields = read_json(path)
    written = fields.get("format")
    if written != FORMAT:
        raise InputError(
            f"{path}: format: {written!r:.60} is not {FORMAT!r}, the format of this version; "
            "choose another folder, or delete it"
        )
    manifest = decode(Manifest, fields, str(path))
    if manifest != Manifest.create(manifest.parts, manifest.facts):
        raise InputError(f"{path}: is damaged; delete the folder to compute all rows again")
    if not 1 <= manifest.parts <= _MANIFEST_MAX_SHARDS:
        raise InputError(f"{path}: parts: {manifest.parts} is not a valid number of shards")
    return manifest


def check_visible(folder: Path) -> None:
    """Raise InputError if this process cannot see the checkpoint that rank 0 opened."""
    if not (folder / _MANIFEST).is_file():
        raise InputError(
            f"checkpoint {folder}: is not visible on this node; choose a folder that all nodes "
            "share"
        )


def layer_digest(layer: Layer) -> bytes:
    """Return the SHA-256 of a layer: its sizes, weights, biases and options."""
    value = layer.value
    if value.size and (value == value[0]).all():
        # Of millions of equal weights, as in the challenge, one is enough.
        value = value[:1]
    text = f"{layer.inputs} {layer.activation} {layer.bias_to}"
    return _sha256(text, layer.start, layer.index, value, layer.bias)


def network_sha256(network: Network, layers: Iterable[bytes]) -> str:
    """Return the SHA-256 of a network, in hexadecimal. layers: the digest of each layer"""
    text = f"{network.inputs} {network.ymax} "
    return hashlib.sha256(text.encode() + b"".join(layers)).hexdigest()


def inputs_sha256(inputs: Inputs) -> str:
    """Return the SHA-256 of the input rows, in hexadecimal."""
    if inputs.bits is not None:
        return _sha256(f"bits {inputs.neurons}", inputs.bits).hex()
    csr = inputs.to_csr(inputs.dtype)
    starts, columns = csr.indptr.astype(np.int64), csr.indices.astype(np.int64)
    return _sha256(f"csr {inputs.neurons}", starts, columns, csr.data).hex()


def _sha256(text: str, *arrays: Any) -> bytes:
    """Return the SHA-256 of a text and of the type, shape and contents of each array."""
    digest = hashlib.sha256(text.encode())
    for array in arrays:
        digest.update(f" {array.dtype.str}{array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.digest()
