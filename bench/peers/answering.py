"""The work of every peer: classify frames with the default bundle and write replies in the wire's format.

No duplicates, order, deadlines or decision policy (`move` is always null): a peer does less per frame than a
worker of the pool.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gesture_maze.models.bundle import bundled_path, load_bundle
from gesture_maze.models.classifier import Classifier
from gesture_maze.wire.frames import META
from gesture_maze.wire.keys import actions_channel, partition_of
from gesture_maze.wire.replies import ReplyWriter, reply_head

PARTITIONS = 16
STREAM = "peer:frames"
GROUP = "peer"
Packed = tuple[bytes, bytes, bytes]
"""Values of the fields `s`, `m` and `l` of one frame."""


class Answering:
    """The default model and its replies."""

    def __init__(self) -> None:
        self._classifier = Classifier.from_bundle(load_bundle(bundled_path()))
        self._writer = ReplyWriter(self._classifier.label_set, self._classifier.version)

    def __call__(self, frames: Sequence[Packed]) -> list[tuple[str, str]]:
        """Return the channel and the reply of each frame."""
        meta = np.frombuffer(b"".join([m for _, m, _ in frames]), META)
        landmarks = np.frombuffer(b"".join([points for _, _, points in frames]), "<f4").reshape(-1, 21, 3)
        labels, confidences = self._classifier.classify(landmarks, meta["aspect"].astype(np.float32))
        steps = np.rint(confidences * 1000).astype(int).tolist()
        columns = zip(
            frames, meta["seq"].tolist(), meta["captured_ms"].tolist(), labels.tolist(), steps, strict=True
        )
        found = []
        for (raw, _, _), seq, captured_ms, label, step in columns:
            session = raw.decode()
            text = self._writer.write(reply_head(session), seq, captured_ms, label, step, 0, 0)
            found.append((actions_channel(partition_of(session, PARTITIONS), session), text))
        return found
