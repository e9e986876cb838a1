"""Send a hand 30 times a second: python examples/python/send_frames.py [URL [SESSION [GESTURE]]]"""

import json
import sys
import time
from pathlib import Path

from gesture_maze import Frame, FrameProducer

DEFAULTS = ["redis://127.0.0.1:6379/0", "p1", "like"]
url, session, gesture = sys.argv[1:] + DEFAULTS[len(sys.argv) - 1 :]
hands = json.loads((Path(__file__).parents[1] / "hands.json").read_text())
with FrameProducer(url) as producer:
    for _ in range(30):
        # seq and time are left out: the producer takes them from the clock
        producer.send(Frame(session, landmarks=hands[gesture], aspect=4 / 3))
        time.sleep(1 / 30)
