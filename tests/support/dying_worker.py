"""A worker whose model kills the process on a marked frame (the wrist's x is 666)."""

from __future__ import annotations

import os
import signal
import sys

from gesture_maze.models.classifier import Classifier
from gesture_maze.worker.__main__ import main

sound = Classifier.classify


def classify(self, landmarks, aspect):  # type: ignore[no-untyped-def]
    if (landmarks[:, 0, 0] == 666).any():
        os.kill(os.getpid(), signal.SIGKILL)
    return sound(self, landmarks, aspect)


Classifier.classify = classify  # type: ignore[method-assign]
sys.exit(main(sys.argv[1:]))
