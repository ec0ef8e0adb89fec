"""Passes: from typed IR to typed IR."""
