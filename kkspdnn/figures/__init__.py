"""Figures and tables for papers, drawn from records alone: `python -m kkspdnn plot`."""
