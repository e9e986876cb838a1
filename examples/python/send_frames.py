"""Send a hand 30 times a second: python examples/python/send_frames.py [URL [SESSION [GESTURE]]]"""

import json
import sys
import time
from pathlib import Path

from gesture_maze.producer import Frame, FrameProducer

DEFAULTS = ["redis://127.0.0.1:6379/0", "p1", "like"]
url, session, gesture = sys.argv[1:] + DEFAULTS[len(sys.argv) - 1 :]
hands = json.loads((Path(__file__).parents[1] / "hands.json").read_text())
with FrameProducer(url) as producer:
    for _ in range(30):
        now_ms = time.time_ns() // 1_000_000
        producer.send(Frame(session, seq=now_ms, captured_ms=now_ms, landmarks=hands[gesture], aspect=4 / 3))
        time.sleep(1 / 30)
