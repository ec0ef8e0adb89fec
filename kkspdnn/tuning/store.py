"""The files of tuned launch parameters, in the folder `tuned` of the cache.

A file is ignored, with a warning in the log, if it is damaged, of another version of kkspdnn or has
values that a run does not accept.
"""

from __future__ import annotations

import json
import logging
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from time import time

import numpy as np

from kkspdnn.choices import SpaceName
from kkspdnn.device.launch_parameters import LaunchParameters
from kkspdnn.device.space import check_space_name
from kkspdnn.errors import CacheError, InputError, KkspdnnError
from kkspdnn.io.atomic_write import replace_file
from kkspdnn.io.json_schema import decode, read_json
from kkspdnn.pk.build.cache import default_cache, make_private_folder
from kkspdnn.pk.build.file_trust import CACHE_VARIABLE, check_private, check_trusted
from kkspdnn.tuning.case import TuningCase
from kkspdnn.tuning.legality import find_illegal
from kkspdnn.version import own_version

SWITCH = "KKSPDNN_TUNE"
"""The environment variable that switches tuned launch parameters off if it is 0."""

_FOLDER = "tuned"
_SCHEMA = "kkspdnn-tuned/1"
_USE_SECONDS = 3600.0
"""The minimum interval between two updates of the time of last use, the modification time."""


@dataclass(frozen=True)
class TunedFile:
    """The content of a file.

    version: of kkspdnn
    parameters: the tuned launch parameters
    rows, pairs: the number of input rows that were measured, and of pairs of runs
    default_seconds, seconds: the median times of the default and of the tuned parameters
    """

    schema: str
    version: str
    case: TuningCase
    parameters: LaunchParameters
    rows: int
    pairs: int
    default_seconds: float
    seconds: float


def is_enabled() -> bool:
    """Whether KKSPDNN_TUNE allows tuned parameters. Raises InputError if it is neither 0 nor 1."""
    value = os.environ.get(SWITCH, "")
    if value not in ("", "0", "1"):
        raise InputError(f"{SWITCH}={value}: give 0 for the default launch parameters, or 1")
    return value != "0"


def find_tuned(case: TuningCase) -> LaunchParameters | None:
    """Return the tuned parameters for this case, and mark their file as used now; None: none.

    Raises nothing for a file that cannot be used: it logs a warning.
    """
    try:
        # The user's own files take precedence over those of a shared, read-only cache.
        for root in reversed(default_cache().roots):
            path = _path(root, case)
            if os.path.lexists(path):
                return _use(path, root, case)
    except CacheError as error:
        logging.getLogger("kkspdnn").warning(
            "tuned launch parameters are not used, but the defaults: %s", error
        )
    return None


def keep_tuned(
    case: TuningCase,
    parameters: LaunchParameters,
    *,
    rows: int,
    pairs: int,
    default_seconds: float,
    seconds: float,
) -> Path:
    """Write the file of a case and return its path. Raises CacheError if it cannot be written."""
    root = default_cache().roots[-1]
    path = _path(root, case)
    content = TunedFile(
        _SCHEMA, own_version(), case, parameters, rows, pairs, default_seconds, seconds
    )
    try:
        check_trusted(root)
        make_private_folder(path.parent, root)
        check_trusted(path.parent)
        with replace_file(path) as file:
            file.write((json.dumps(asdict(content), indent=2) + "\n").encode())
        # Nobody else may write to it, whatever the umask is.
        path.chmod(path.stat().st_mode & 0o644)
    except CacheError:
        raise
    except (InputError, OSError) as error:
        raise CacheError(
            f"{path}: cannot be written; set {CACHE_VARIABLE} to a folder of your own"
        ) from error
    return path


def forget_tuned(case: TuningCase) -> Path | None:
    """Remove the file of a case and return its path; None if there is none.

    Raises CacheError if it cannot be removed.
    """
    path = _path(default_cache().roots[-1], case)
    try:
        path.unlink()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CacheError(f"{path}: cannot be removed: {error.strerror or error}") from error
    return path


def _path(root: Path, case: TuningCase) -> Path:
    # `kkspdnn cache` lists and removes files with such a name.
    return root / _FOLDER / f"{case.digest}.json"


def _use(path: Path, root: Path, case: TuningCase) -> LaunchParameters | None:
    try:
        check_trusted(root)
        check_trusted(path.parent)
        if path.is_symlink():
            raise CacheError(f"{path} is a symbolic link")
        check_private(path, path.lstat())
        parameters = _read(path, case)
    except (KkspdnnError, OSError) as error:
        logging.getLogger("kkspdnn").warning(
            "%s; the default launch parameters are used: run kkspdnn tune again or remove the file",
            error,
        )
        return None
    with suppress(OSError):  # a read-only cache
        if abs(time() - path.stat().st_mtime) > _USE_SECONDS:
            os.utime(path)
    return parameters


def _read(path: Path, case: TuningCase) -> LaunchParameters:
    """Return the parameters in a file; raise InputError if they are not for this case."""
    fields = read_json(path)
    for name, own in (("schema", _SCHEMA), ("version", own_version())):
        if fields.get(name) != own:
            raise InputError(f"{path}: {name} {fields.get(name)!r:.40} is not {own}")
    content = decode(TunedFile, fields, str(path))
    if content.case != case:
        raise InputError(f"{path}: is for another machine or network")
    space: SpaceName = check_space_name(case.space)
    illegal = find_illegal(content.parameters, space, np.dtype(case.dtype))
    if illegal is not None:
        raise InputError(f"{path}: {illegal} is not possible")
    return content.parameters
