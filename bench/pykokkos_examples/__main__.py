"""`python -m bench.pykokkos_examples`."""

import sys

from bench.pykokkos_examples.cli import main

if __name__ == "__main__":
    sys.exit(main())
