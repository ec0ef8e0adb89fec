"""`python -m bench.balanced`."""

import sys

from bench.balanced.cli import main

if __name__ == "__main__":
    sys.exit(main())
