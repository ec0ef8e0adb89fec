"""The finished seeds of `train`, in a file beside its record, for a run after an interrupt."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Final

from kkspdnn.errors import InputError
from kkspdnn.io.atomic_write import replace_file
from kkspdnn.io.json_schema import decode, read_json
from kkspdnn.records.pruning_study import Accuracy

_SCHEMA: Final = "kkspdnn-pruning-seeds/1"


@dataclass(frozen=True)
class Settings:
    """What the accuracies of a seed depend on.

    layers: the neurons of each layer, the input layer first
    images: the number of images for training; None: all
    epochs, retrain_epochs: of training, and of each retraining
    sparsities: the fractions of the weights to remove
    blocks: the blocks of inputs of each neuron, with balanced pruning
    networks: the folder of the networks of seed 0
    commit, torch: the versions of the source and of PyTorch
    """

    layers: tuple[int, ...]
    images: int | None
    epochs: int
    retrain_epochs: int
    sparsities: tuple[float, ...]
    blocks: int
    networks: str | None
    commit: str | None
    torch: str


@dataclass(frozen=True)
class _Content:
    """The content of the file.

    accuracies: of the finished seeds, all of each
    """

    settings: Settings
    accuracies: tuple[Accuracy, ...] = ()
    schema: str = _SCHEMA


class FinishedSeeds:
    """The accuracies of finished seeds. Each seed is written at once, and atomically.

    path: of the file; None keeps the seeds in memory only

    Raises InputError if the file is invalid, or has seeds of other settings.
    """

    def __init__(self, path: Path | None, settings: Settings) -> None:
        self._path = path
        self._content = _Content(settings)
        if path is not None and path.exists():
            self._content = decode(_Content, read_json(path), str(path))
            _check_same(path, self._content.settings, settings)

    def of(self, seed: int) -> tuple[Accuracy, ...]:
        """Return the accuracies of a seed; none if it is not finished."""
        return tuple(each for each in self._content.accuracies if each.seed == seed)

    def add(self, accuracies: tuple[Accuracy, ...]) -> None:
        """Keep the accuracies of a seed, all of them."""
        content = self._content
        self._content = replace(content, accuracies=(*content.accuracies, *accuracies))
        if self._path is not None:
            with replace_file(self._path) as file:
                file.write(json.dumps(asdict(self._content), indent=1).encode() + b"\n")


def seeds_path(record: Path | None) -> Path | None:
    """Return the path of the finished seeds of a record; None for a device, or without a record."""
    if record is None or (record.exists() and not record.is_file()):
        return None
    return record.with_name(f"{record.name}.seeds")


def _check_same(path: Path, found: Settings, current: Settings) -> None:
    for name in (field.name for field in fields(Settings)):
        before, now = getattr(found, name), getattr(current, name)
        if before != now:
            raise InputError(
                f"{path}: seeds of an interrupted run, with {name.replace('_', ' ')} {before} and "
                f"not {now}; run with the same to finish it, or delete the file"
            )
