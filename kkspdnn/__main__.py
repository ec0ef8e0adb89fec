"""`python -m kkspdnn`."""

import sys

try:
    from kkspdnn.cli import main
except KeyboardInterrupt:
    # Importing NumPy, SciPy and Polars takes long enough to be interrupted.
    print("kkspdnn: interrupted", file=sys.stderr)
    sys.exit(130)

if __name__ == "__main__":
    sys.exit(main())
