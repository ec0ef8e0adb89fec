"""`python -m kkspdnn`."""

import sys

from kkspdnn.cli import main

sys.exit(main())
