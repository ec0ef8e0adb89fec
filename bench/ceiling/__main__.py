"""`python -m bench.ceiling`."""

import sys

from bench.ceiling.cli import main

if __name__ == "__main__":
    sys.exit(main())
