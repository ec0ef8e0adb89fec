"""Typed IR to C++."""
