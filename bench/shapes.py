"""Make the shapes of hands, from which `maze teach` draws hands to test what a base keeps.

`python bench/shapes.py DATA [--out gesture_maze/teach/shapes.npz]`

DATA is the folder of the shared data (see CONTRIBUTING.md). The file holds means and main directions of at
least 60 hands each, and not the hand of any single person.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from gesture_maze.models.dataset import read_dataset
from gesture_maze.teach.shapes import FILE, Shapes


def main() -> None:
    """Write the file and print its size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=FILE)
    options = parser.parse_args()
    data = read_dataset([options.data / "landmarks_train.csv.gz"])
    shapes = Shapes.of(data.points, np.array(data.gestures)[data.labels])
    shapes.write(options.out)
    size = options.out.stat().st_size
    sys.stdout.write(f"{options.out}: {len(shapes.gestures)} parts of {len(data):,} hands, {size:,} bytes\n")


if __name__ == "__main__":
    main()
