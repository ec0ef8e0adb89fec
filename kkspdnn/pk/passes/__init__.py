"""Passes over the typed IR: from an ir.Kernel to an ir.Kernel."""
