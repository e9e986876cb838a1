"""Print what the maze answers: python examples/python/read_actions.py [URL] [SESSION ...]"""

import sys

from gesture_maze import FrameProducer

url, *sessions = sys.argv[1:] or ["redis://127.0.0.1:6379/0"]
with FrameProducer(url) as producer, producer.actions(*(sessions or ["p1"])) as replies:
    print("listening", flush=True)
    for reply in replies:
        print(reply.session, reply.seq, reply.gesture, reply.confidence, reply.action, reply.move, flush=True)
