"""Finished parts of the input rows in a folder, from which a run that was ended goes on.

Each part is a file that appears whole or not at all, under a manifest of all that the values depend
on: layers, input rows and options. Nothing in it depends on the number of ranks or threads, so that
a run may go on with others. Every byte of a part and of the manifest is covered by a SHA-256 that
is checked before anything in them is used.
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
from kkspdnn.errors import InputError
from kkspdnn.io.atomic_write import replace_file
from kkspdnn.io.checksum import verify_checksum, write_with_checksum
from kkspdnn.io.json_schema import decode, read_json
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Layer, Network

FORMAT = "kkspdnn-checkpoint-2"
_MANIFEST = "checkpoint.json"
_PART_ROWS, _MOST_PARTS = 8192, 512
_MOST_EVER = 1 << 24
"""No run has more parts: a manifest that says so is wrong."""


@dataclass(frozen=True)
class Manifest:
    """
    parts: into how many the rows are distributed; facts: what the values depend on, by name

    sha256: of all the others, in hexadecimal
    """

    format: str
    parts: int
    facts: dict[str, str]
    sha256: str

    @classmethod
    def of(cls, parts: int, facts: Mapping[str, str]) -> Manifest:
        """A manifest with its digest."""
        digest = hashlib.sha256(json.dumps([FORMAT, parts, dict(facts)], sort_keys=True).encode())
        return cls(FORMAT, parts, dict(facts), digest.hexdigest())


@dataclass(frozen=True)
class Checkpoint:
    """A folder of finished parts. rows: of all parts together; outputs: neurons of their values"""

    folder: Path
    manifest: Manifest
    rows: int
    outputs: int

    def save(self, number: int, outcome: PartialResult) -> None:
        """Write what came out of a part, with rows numbered among all rows."""
        arrays: dict[str, Any] = {"facts": np.array(self._facts(number))}
        arrays |= {"ymax": np.asarray(outcome.ymax)}
        arrays |= {"rows": outcome.rows, "saturated": outcome.saturated}
        arrays["multiplied"] = np.array(outcome.computed_edges)
        if outcome.values is not None:
            arrays["valued"] = outcome.rows if outcome.valued is None else outcome.valued
            arrays |= {name: getattr(outcome.values, name) for name in _CSR}
        with replace_file(self._file(number)) as file:
            write_with_checksum(file, lambda sealed: np.savez(sealed, **arrays))

    def finished(self) -> list[int]:
        """The numbers of the parts that are there, ascending."""
        return [each for each in range(self.manifest.parts) if self._file(each).exists()]

    def load(self, number: int) -> PartialResult:
        """What came out of a part; InputError where its file is damaged or of another run."""
        path = self._file(number)
        try:
            with path.open("rb") as file:
                verify_checksum(file)
                with np.load(file, allow_pickle=False) as archive:
                    arrays = {name: archive[name] for name in archive.files}
            facts = str(arrays["facts"])
            outcome = self._outcome(arrays)
        except MemoryError:
            raise
        except Exception as error:
            # Behind the digest are bytes that were written here, but perhaps by another version.
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(
                f"{path}: is damaged ({said}); delete it, and its rows are computed again"
            ) from error
        if facts != self._facts(number):
            raise InputError(
                f"{path}: is of another run or part; delete it, or give another folder"
            )
        return outcome

    def _outcome(self, arrays: Mapping[str, NDArray[Any]]) -> PartialResult:
        for name in {"rows", "valued", "saturated"} & arrays.keys():
            rows = arrays[name]
            sound = rows.dtype == np.int64 and rows.ndim == 1 and bool((np.diff(rows) > 0).all())
            if not sound or (rows.size and not 0 <= rows[0] <= rows[-1] < self.rows):
                raise ValueError(f"{name} that cannot be")
        values, valued = None, arrays.get("valued")
        if valued is not None:
            parts = tuple(arrays[name] for name in _CSR)
            values = sp.csr_array(parts, shape=(valued.size, self.outputs))
            values.check_format(full_check=True)
        return PartialResult(
            rows=arrays["rows"],
            values=values,
            computed_edges=int(arrays["multiplied"]),
            valued=valued,
            saturated=arrays["saturated"],
            ymax=arrays["ymax"][()],
        )

    def _facts(self, number: int) -> str:
        return hashlib.sha256(
            json.dumps([number, vars(self.manifest)], sort_keys=True).encode()
        ).hexdigest()

    def _file(self, number: int) -> Path:
        return self.folder / f"part-{number + 1}-of-{self.manifest.parts}.npz"


_CSR = ("data", "indices", "indptr")


def open_checkpoint(
    folder: Path, facts: Mapping[str, str], rows: int, outputs: int, parts: int
) -> Checkpoint:
    """The checkpoint in `folder`, begun there where there is none, in a multiple of `parts`.

    InputError where the folder cannot be used, or is that of a run with other `facts`.
    """
    path = folder / _MANIFEST
    if not path.exists():
        part = max(_PART_ROWS, rows // _MOST_PARTS)
        manifest = Manifest.of(parts * max(1, -(-rows // (parts * part))), facts)
        if folder.is_dir() and any(folder.glob("part-*-of-*.npz")):
            raise InputError(f"--checkpoint {folder}: parts without a {_MANIFEST}; empty it first")
        with replace_file(path) as file:
            file.write(json.dumps(vars(manifest), indent=1).encode())
    manifest = _manifest(path)
    different = [name for name, fact in facts.items() if manifest.facts.get(name) != fact]
    if different or manifest.facts.keys() != facts.keys():
        what = ", ".join(different) or "other facts"
        raise InputError(
            f"--checkpoint {folder}: is of a run with another {what}; give another folder, or "
            "delete it"
        )
    return Checkpoint(folder, manifest, rows, outputs)


def _manifest(path: Path) -> Manifest:
    """The manifest in a file; InputError unless it is as it was written, by this version."""
    given = read_json(path)
    written = given.get("format")
    if written != FORMAT:
        raise InputError(
            f"{path}: format: {written!r:.60} is not {FORMAT!r}, that of this version; give "
            "another folder, or delete it"
        )
    manifest = decode(Manifest, given, str(path))
    if manifest != Manifest.of(manifest.parts, manifest.facts):
        raise InputError(f"{path}: is damaged; delete the folder, and all rows are computed again")
    if not 1 <= manifest.parts <= _MOST_EVER:
        raise InputError(f"{path}: parts: {manifest.parts} is no number of parts")
    return manifest


def check_folder(folder: Path) -> None:
    """Raise InputError where this process does not see the checkpoint that rank 0 opened."""
    if not (folder / _MANIFEST).is_file():
        raise InputError(f"--checkpoint {folder}: not seen here; give a folder that nodes share")


def layer_digest(layer: Layer) -> bytes:
    """SHA-256 of all that a layer is."""
    value = layer.value
    if value.size and (value == value[0]).all():
        # Millions of equal weights, as in the challenge, need no hashing.
        value = value[:1]
    text = f"{layer.inputs} {layer.activation} {layer.bias_to}"
    return _sha256(text, layer.start, layer.index, value, layer.bias)


def network_fact(network: Network, layers: Iterable[bytes]) -> str:
    """SHA-256 of a network whose layers have these digests, in hexadecimal."""
    text = f"{network.inputs} {network.ymax} "
    return hashlib.sha256(text.encode() + b"".join(layers)).hexdigest()


def inputs_fact(inputs: Inputs) -> str:
    """SHA-256 of the input rows, in hexadecimal."""
    if inputs.bits is not None:
        return _sha256(f"bits {inputs.neurons}", inputs.bits).hex()
    csr = inputs.to_csr(inputs.dtype)
    starts, columns = csr.indptr.astype(np.int64), csr.indices.astype(np.int64)
    return _sha256(f"csr {inputs.neurons}", starts, columns, csr.data).hex()


def _sha256(text: str, *arrays: Any) -> bytes:
    made = hashlib.sha256(text.encode())
    for array in arrays:
        made.update(f" {array.dtype.str}{array.shape} ".encode())
        made.update(np.ascontiguousarray(array).data)
    return made.digest()
