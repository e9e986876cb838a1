"""How people hold their hand for each of the 19 gestures: archetypes, and random hands between them.

Every hand of a gesture is a random blend of the gesture's archetypes plus a little of its own, so that its
joints vary together as they do in people. An archetype is the mean pose of a group of people (at
least seven): this package's hand model, fitted to hands of HaGRID (Kapitanov et al., arXiv:2206.08219;
hukenovs/hagrid) and clustered per gesture. Left hands were mirrored first: all numbers are of a right hand.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gesture_maze.simulator.hand import JOINTS, TURNS
from gesture_maze.wire.frames import Float32
from gesture_maze.wire.gestures import LABELS, NO_GESTURE

ANGLES: Final = JOINTS + TURNS
"""Angles of a pose: those of `simulator.hand.JOINTS`, then roll, pitch and yaw of `simulator.hand.TURNS`."""

TABLE: Final = """
call 47  62 24 17 -3 -21  -14 83 56 31  -21 92 48 22  -23 85 54 26  -27 52 2 -1  64 25 152
call 22  57 24 15 -4 -22  -11 77 56 30  -20 84 54 24  -22 78 59 27  -22 55 3 -1  79 26 151
call 16  60 27 15 -5 -21  -12 87 57 29  -18 95 48 21  -19 91 51 25  -31 61 3 -1  49 28 155
call 15  51 20 14 -7 -22  -21 77 54 32  -29 85 50 25  -27 82 52 28  -26 26 -2 -2  73 3 143
fist 31  46 45 61 40 37  -5 88 115 68  -10 99 116 70  -14 101 116 66  -17 100 114 64  27 -26 -5
fist 28  37 48 46 42 36  -4 83 111 65  -10 93 115 65  -15 96 112 62  -21 95 111 61  17 -24 -4
fist 21  51 38 65 36 36  -5 91 114 65  -11 101 115 64  -14 100 113 62  -17 99 109 61  14 -28 -5
fist 19  28 43 45 33 27  -2 79 111 66  -10 90 115 66  -16 93 112 62  -25 96 111 61  4 -23 2
dislike 40  52 46 -31 -8 -17  -4 87 106 61  -11 97 113 60  -16 95 116 62  -23 89 115 62  97 -17 7
dislike 37  53 47 -29 -7 -18  -1 81 97 60  -8 88 109 64  -13 85 112 65  -25 78 115 67  86 -18 7
dislike 13  44 56 -31 -2 -18  -4 61 93 60  -7 64 97 63  -10 56 88 58  -14 51 75 41  93 -14 9
dislike 10  64 39 -13 -6 -14  -8 66 92 52  -11 73 95 60  -17 68 92 63  -26 60 78 43  72 -17 0
four 41  5 28 19 35 21  10 28 -6 -6  -2 25 0 -5  -10 26 2 -5  -27 35 -6 -4  3 17 1
four 34  10 26 21 38 23  10 29 -6 -6  -2 27 0 -5  -10 27 2 -5  -28 34 -6 -4  10 18 -1
four 14  11 29 18 41 22  11 28 -6 -6  0 24 0 -6  -9 24 1 -5  -29 33 -6 -5  -5 19 -2
four 11  3 14 21 42 25  10 28 -6 -7  -3 25 -1 -6  -12 23 1 -5  -31 28 -5 -3  20 23 3
two_up 33  1 40 -4 36 17  -5 21 -5 -5  -2 19 1 -5  -17 57 85 48  -30 74 78 48  1 9 8
two_up 29  3 37 4 35 18  -4 36 -4 -5  -2 36 4 -4  -14 62 83 47  -24 67 69 40  -1 -5 6
two_up 27  2 40 2 38 16  -7 33 -5 -5  -5 34 1 -6  -17 58 81 46  -27 70 72 44  8 1 4
two_up 11  -1 47 -6 33 8  -2 27 -3 -4  0 29 4 -4  -12 63 78 45  -27 75 75 47  -7 2 2
mute 50  -13 45 -17 29 1  -27 14 -2 -2  -26 74 89 34  -26 90 83 37  -32 94 68 38  0 11 75
mute 27  57 33 20 -5 -3  -30 4 -1 -2  -27 75 83 34  -25 91 77 38  -27 93 67 40  11 12 83
mute 23  -6 45 -14 34 3  -25 19 1 -1  -26 78 97 39  -29 90 89 39  -33 92 77 40  -11 11 77
ok 43  28 56 11 12 19  -6 71 35 21  -8 37 2 -5  -20 23 9 -1  -36 20 0 0  5 4 21
ok 23  30 54 15 11 20  -4 70 35 20  -10 37 3 -4  -19 22 10 -1  -34 16 1 1  13 6 25
ok 22  30 62 10 11 20  -9 75 37 22  -10 45 4 -4  -20 30 10 0  -36 25 3 1  -9 -3 23
ok 12  27 53 12 10 17  -4 68 37 22  -7 38 3 -5  -18 26 7 -2  -33 20 0 0  27 7 23
one 32  20 50 26 32 20  6 -3 4 4  -12 76 82 47  -20 87 89 56  -29 91 94 55  -3 -16 -2
one 31  20 30 13 34 24  4 11 -5 -3  -9 60 83 46  -17 71 86 49  -26 73 89 51  4 10 4
one 24  12 44 2 26 20  1 23 -4 -5  -9 67 100 49  -17 80 95 52  -31 87 92 50  -9 8 25
one 12  17 39 20 30 18  14 6 -2 -2  -10 64 78 45  -19 76 83 49  -28 79 88 48  -14 5 1
palm 48  41 26 -9 3 -11  13 28 -5 -6  3 26 0 -6  -3 26 3 -5  -19 34 -5 -4  2 23 -6
palm 27  38 25 -7 2 -11  15 28 -5 -5  6 27 0 -5  0 26 4 -4  -16 36 -5 -4  -6 22 -4
palm 25  41 23 -5 4 -10  11 27 -5 -5  4 26 -1 -6  -2 25 2 -5  -15 31 -5 -4  11 25 -7
peace 37  0 43 5 32 11  16 32 3 -2  -13 33 4 -3  -19 66 66 31  -32 77 54 31  -2 -2 2
peace 26  5 45 -2 36 11  12 22 -5 -4  -14 20 0 -6  -22 68 60 30  -33 79 86 50  -1 11 4
peace 21  2 46 5 34 11  19 19 2 -1  -7 28 2 -3  -19 77 63 31  -31 86 67 43  -11 -4 -3
peace 17  7 52 12 33 11  19 22 6 0  -8 33 5 -3  -25 79 68 33  -31 89 78 51  10 -8 -9
peace_inverted 29  22 53 65 30 18  8 -5 5 4  -12 2 5 4  -19 78 61 27  -20 84 58 26  7 33 161
peace_inverted 28  33 57 67 30 18  9 -5 6 4  -11 4 1 3  -19 83 60 26  -18 87 58 26  3 35 164
peace_inverted 28  26 54 64 33 19  12 -14 9 5  -9 -2 4 5  -19 83 58 26  -19 88 56 25  15 31 162
peace_inverted 16  19 54 62 35 20  15 -10 12 7  -7 -4 6 6  -17 93 50 23  -14 96 118 65  11 29 167
rock 39  4 39 12 30 19  4 34 -2 -5  -12 63 72 38  -23 65 69 37  -26 39 -4 -4  13 -1 -2
rock 33  11 39 18 32 21  3 23 -5 -4  -10 70 83 53  -24 70 74 44  -22 30 -5 -5  4 4 -2
rock 28  15 37 13 34 23  1 24 -6 -6  -10 64 87 55  -22 64 77 45  -29 27 -5 -5  17 10 2
stop 37  29 20 11 16 -7  -1 28 -3 -5  2 28 -2 -7  4 25 4 -5  3 28 -4 -3  4 19 -5
stop 26  31 19 14 20 -3  -2 29 -4 -5  0 29 -1 -6  3 26 4 -5  1 27 -3 -3  9 20 -4
stop 23  28 21 13 18 -8  0 29 -3 -5  4 29 -1 -7  7 26 4 -5  5 28 -3 -3  -3 18 -7
stop 14  32 21 15 18 4  -3 29 -3 -6  -1 29 -1 -7  2 26 3 -5  2 28 -4 -3  17 18 -4
stop_inverted 49  69 64 63 23 1  -4 2 1 2  -1 0 1 4  1 3 -3 3  1 1 4 3  5 38 -179
stop_inverted 29  63 58 64 23 10  -5 3 2 3  -2 1 3 4  0 4 -2 3  1 3 3 2  -1 36 -182
stop_inverted 22  61 60 51 23 4  -7 3 2 2  -3 1 2 4  0 4 -2 3  -1 3 3 2  11 34 -181
three 48  -9 35 -8 37 12  5 31 -4 -6  -8 27 2 -5  -21 29 0 -7  -19 58 50 24  4 11 10
three 29  -9 39 -17 40 11  7 29 -6 -8  -8 24 0 -6  -19 25 0 -8  -20 58 44 21  -4 14 11
three 23  -9 34 -7 38 12  1 31 -5 -6  -10 29 1 -5  -22 31 0 -7  -20 58 50 25  13 11 10
three2 46  35 26 -31 -3 -17  10 17 -4 -6  -13 18 -3 -8  -23 52 73 42  -28 60 78 49  -2 19 5
three2 31  33 26 -31 -3 -17  11 22 -3 -6  -12 22 -2 -9  -21 52 74 44  -27 59 73 49  -14 17 6
three2 22  33 22 -30 0 -18  10 20 -5 -6  -12 19 -5 -8  -25 48 69 40  -29 56 78 48  12 23 7
like 32  73 38 25 -5 -21  -8 88 62 30  -12 96 52 24  -13 97 49 24  -16 94 54 24  76 38 168
like 31  67 41 17 -1 -20  -6 80 59 30  -11 86 50 24  -14 86 49 25  -17 82 54 24  80 26 171
like 26  75 34 21 -5 -21  -8 86 54 28  -12 93 46 23  -14 93 44 23  -17 90 51 23  91 31 167
like 10  62 39 27 -7 -21  -19 95 59 28  -14 102 56 25  -14 104 55 24  -14 103 61 24  56 48 157
two_up_inverted 50  22 54 61 34 20  -5 -3 9 6  -4 -3 4 4  -16 86 55 26  -12 83 116 74  5 30 166
two_up_inverted 30  25 57 59 33 19  -6 1 9 6  -6 0 4 4  -16 84 58 27  -16 90 56 25  -2 33 166
two_up_inverted 20  17 52 59 35 17  -6 -1 7 5  -5 0 3 4  -17 78 66 30  -19 85 60 27  9 32 160
no_gesture 27  28 31 17 28 4  -2 40 46 20  -12 52 45 20  -3 54 44 20  20 45 41 23  -168 18 -141
no_gesture 21  20 27 10 24 3  -4 26 28 14  -28 39 29 14  -29 43 26 13  -1 38 24 15  -160 18 -121
no_gesture 13  38 23 6 27 2  2 42 35 15  -14 58 35 13  -14 61 35 13  8 46 40 18  168 -28 31
no_gesture 9  32 -12 9 22 4  10 -5 6 3  11 -3 9 4  13 -6 11 5  17 -12 12 7  -171 63 -1
no_gesture 6  47 12 1 29 7  20 12 46 21  -18 62 32 10  -12 60 40 12  8 48 43 17  150 -26 30
no_gesture 5  30 19 9 21 6  12 33 50 25  4 32 61 24  -6 38 60 23  -13 30 55 27  -149 -51 12
no_gesture 4  8 -11 23 17 10  -20 -4 15 10  -20 1 19 11  -17 1 19 10  -11 0 16 10  99 -41 -140
no_gesture 4  14 -21 19 16 13  -13 -11 20 12  -12 -7 28 14  -9 -7 30 16  -4 -9 27 16  -104 40 20
no_gesture 4  32 37 14 21 6  3 53 42 17  -10 64 40 15  -7 60 44 17  -1 47 50 21  160 34 -163
no_gesture 4  -2 17 7 8 3  8 18 21 12  33 22 18 10  38 24 13 8  32 25 12 7  168 -6 98
no_gesture 2  26 15 15 15 4  1 19 1 -1  2 16 -3 -1  3 17 -5 -2  1 15 -5 -3  179 74 -161
"""
"""Per line: gesture, share in per cent; then in degrees thumb (spread, elevation, roll, mcp, ip), index,
middle, ring and pinky (spread, mcp, pip, dip each), roll, pitch, yaw."""

RELAXED: Final = np.radians(
    np.array([22, 14, 13, 20, 4, 3, 20, 28, 14, 0, 24, 30, 15, -3, 28, 29, 14, -5, 26, 27, 14], np.float32)
)
"""Joint angles (21,) float32 of a hand at rest, in radians: what it passes through between gestures."""

SCATTER: Final = np.radians(np.array([3, 3, 5, 5, 6, *(2, 4, 5, 4) * 4, 5, 5, 6], np.float32))
"""Standard deviation (24,) in radians of what a hand adds to its blend of archetypes, before `LOOSENESS`."""

LOOSENESS: Final = {
    "call": 1.6,
    "fist": 1.2,
    "dislike": 1.6,
    "four": 0.7,
    "two_up": 0.7,
    "palm": 0.5,
    "peace_inverted": 0.5,
    "rock": 1.2,
    "stop": 0.3,
    "stop_inverted": 0.3,
    "three": 1.2,
    "three2": 1.2,
    "two_up_inverted": 0.3,
}
"""Factor on `SCATTER`, else 1: chosen so that a gesture varies about as much as in real hands. Larger factors
for the inverted gestures make them lookalikes of their upright twins."""

BLEND: Final = 0.7
"""Dirichlet concentration of a blend per archetype: below 1, most hands lie near one archetype."""


def _archetypes() -> tuple[list[Float32], list[NDArray[np.float64]]]:
    """Return, per label, the archetypes (k, 24) in radians and their shares (k,)."""
    rows: list[list[list[float]]] = [[] for _ in LABELS]
    for line in TABLE.strip().splitlines():
        name, *numbers = line.split()
        rows[LABELS[name]].append([float(number) for number in numbers])
    tables = [np.array(gesture) for gesture in rows]
    return (
        [np.radians(table[:, 1:]).astype(np.float32) for table in tables],
        [table[:, 0] / table[:, 0].sum() for table in tables],
    )


ARCHETYPES, SHARES = _archetypes()
"""`TABLE` by label: archetypes (k, 24) in radians, and their shares (k,), which add up to 1."""
_LOOSENESS: Final = np.array([LOOSENESS.get(name, 1.0) for name in LABELS], np.float32)


def draw_poses(labels: NDArray[np.int64], rng: np.random.Generator) -> Float32:
    """Return poses (n, 24) float32 in radians, one for each of the gestures `labels` (n,)."""
    scatter = np.clip(rng.standard_normal((len(labels), ANGLES), np.float32), -2.5, 2.5)
    poses = scatter * SCATTER * _LOOSENESS[labels, None]
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        poses[rows] += _blend(int(label), len(rows), rng)
    return poses


def _blend(label: int, count: int, rng: np.random.Generator) -> Float32:
    """Return blends (count, 24) of one gesture's archetypes; an idle hand is one archetype, not a blend."""
    shares = SHARES[label]
    if label == LABELS[NO_GESTURE]:
        return ARCHETYPES[label][rng.choice(len(shares), size=count, p=shares)]
    weights = rng.gamma(BLEND * len(shares) * shares, size=(count, len(shares))) + 1e-9
    weights /= weights.sum(axis=1, keepdims=True)
    return weights.astype(np.float32) @ ARCHETYPES[label]
