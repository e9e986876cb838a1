"""Steer with a webcam: python examples/python/webcam.py [URL [SESSION [MODEL]]]

Needs OpenCV and MediaPipe (pip install opencv-python mediapipe), and MediaPipe's model of hands, the file
hand_landmarker.task that its documentation of Hand Landmarker links to.
"""

import sys
import threading
import time

import cv2
import mediapipe as mp

from gesture_maze import Backpressure, Frame, FrameProducer, Replies

DEFAULTS = ["redis://127.0.0.1:6379/0", "webcam", "hand_landmarker.task"]
url, session, model = sys.argv[1:] + DEFAULTS[len(sys.argv) - 1 :]


def print_moves(replies: Replies) -> None:
    for reply in replies:
        if reply.move is not None:
            print(reply.move, f"({reply.gesture}, {reply.confidence:.2f})", flush=True)


vision = mp.tasks.vision
options = vision.HandLandmarkerOptions(
    base_options=mp.tasks.BaseOptions(model_asset_path=model),
    running_mode=vision.RunningMode.VIDEO,
)
camera = cv2.VideoCapture(0)
with (
    vision.HandLandmarker.create_from_options(options) as landmarker,
    FrameProducer(url) as producer,
    producer.actions(session) as replies,  # before the first frame, or the first replies are missed
):
    threading.Thread(target=print_moves, args=(replies,), daemon=True).start()
    while True:
        found, picture = camera.read()
        if not found:
            sys.exit("the camera gives no picture")
        now_ms = time.time_ns() // 1_000_000
        height, width = picture.shape[:2]
        image = mp.Image(image_format=mp.ImageFormat.SRGB, data=cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
        result = landmarker.detect_for_video(image, now_ms)
        # seq is left out: the producer takes it from the clock. A picture without a hand is sent, too
        frame = Frame.from_mediapipe(result, session, image_size=(width, height), captured_ms=now_ms)
        try:
            producer.send(frame)
        except Backpressure as error:
            print(error, file=sys.stderr)
