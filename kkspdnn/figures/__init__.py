"""Figures and tables for papers, drawn from records: `python -m kkspdnn plot`."""
