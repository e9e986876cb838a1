"""The page's ring shows the same evidence as the pool's policy, frame by frame."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

from gesture_maze.wire.gestures import DEFAULT_ACTIONS
from gesture_maze.wire.replies import MOVES
from gesture_maze.worker.policy import Hold, Policy
from gesture_maze.worker.rules import Rules
from tests.support.servers import absent

MODULE = Path(__file__).parents[2] / "gesture_maze" / "page" / "js" / "evidence.js"
GESTURES = [*DEFAULT_ACTIONS, "palm", None]
PROGRAM = """
import { Evidence } from %s;
const [actions, sequences] = JSON.parse(await new Response(process.stdin).text());
const shares = sequences.map((replies) => {
  const evidence = new Evidence(actions);
  return replies.map((reply) => (evidence.add(reply), evidence.progress.share));
});
process.stdout.write(JSON.stringify(shares));
"""


def start_of(rng: random.Random) -> list[dict[str, Any]]:
    """Return the replies to the frames of one start, up to the frame that settles; its move is left out."""
    policy, hold = Policy(Rules()), Hold()
    favourite = rng.choice(list(DEFAULT_ACTIONS))
    replies, t = [], 1_700_000_000_000
    for _ in range(200):
        t += rng.choice([16, 33, 34, 66, 125, 300])
        gesture = favourite if rng.random() < 0.75 else rng.choice(GESTURES)
        thousandths = rng.choice([rng.randrange(1, 1001), 980, 1000]) if gesture else 0
        action: Any = DEFAULT_ACTIONS.get(gesture or "")
        replies.append({"t": t, "gesture": gesture, "confidence": thousandths / 1000, "move": None})
        if MOVES[hold.decide(policy, t, MOVES.index(action), thousandths)]:
            return replies
    return []


def test_ring_is_full_exactly_when_the_policy_settles() -> None:
    if shutil.which("node") is None:
        absent("node")
    rng = random.Random(7)
    starts = [found for _ in range(400) if (found := start_of(rng))]
    assert len(starts) > 300
    found = subprocess.run(
        ["node", "--input-type=module", "-e", PROGRAM % json.dumps(MODULE.as_uri())],
        input=json.dumps([DEFAULT_ACTIONS, starts]),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    shares = json.loads(found.stdout)
    for replies, filled in zip(starts, shares, strict=True):
        assert filled[-1] == 1, replies
        assert max(filled[:-1], default=0) < 1, replies
