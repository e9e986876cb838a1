"""`python -m gesture_maze` is `maze`."""

from __future__ import annotations

import sys

from gesture_maze.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
