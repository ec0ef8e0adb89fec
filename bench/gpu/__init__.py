"""Measurements on a machine with a GPU and no package index, packed elsewhere, within minutes."""
