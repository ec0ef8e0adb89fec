"""Inference: from a network and input rows to categories and a record."""

from __future__ import annotations

from kkspdnn.inference.api import infer
from kkspdnn.inference.result import Result

__all__ = ["Result", "infer"]
