"""The command line: `python -m kkspdnn` and its commands."""
