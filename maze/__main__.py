"""`python -m maze` is `maze`."""

from __future__ import annotations

import sys

from maze.cli import main

if __name__ == "__main__":
    sys.exit(main())
