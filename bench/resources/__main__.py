"""`python -m bench.resources`."""

import sys

from bench.resources.cli import main

if __name__ == "__main__":
    sys.exit(main())
