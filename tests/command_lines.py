"""Parses command lines of kkspdnn, without running them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from kkspdnn.cli.commands import COMMANDS, DEFAULT


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Parse the words after `kkspdnn`; SystemExit if they are invalid."""
    named = bool(words) and not words[0].startswith("-")
    command = COMMANDS[words[0] if named else DEFAULT]
    parsed: argparse.Namespace = command.parser().parse_args(words[1:] if named else words)
    return parsed
