"""Workunits from Python source to typed IR."""
