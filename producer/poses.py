"""How people hold their hand for each of the 19 gestures: archetypes, and random hands between them.

Every hand of a gesture is a random blend of the gesture's archetypes plus a little of its own, so that its
joints vary together as they do in people. An archetype is the mean pose of a group of people: this package's
hand model, fitted to hands of HaGRID (Kapitanov et al., arXiv:2206.08219; hukenovs/hagrid), clustered
per gesture. All is told for a right hand.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from producer.hand import JOINTS, TURNS
from wire.frames import Float32
from wire.gestures import LABELS, NO_GESTURE

ANGLES: Final = JOINTS + TURNS
"""Angles of a pose: those of `producer.hand.JOINTS`, then roll, pitch and yaw of `producer.hand.TURNS`."""

TABLE: Final = """
call 47  68 26 18 -2 -21  -12 88 55 30  -19 96 47 22  -21 89 54 25  -25 56 5 0  63 29 151
call 22  63 27 17 -4 -21  -9 82 55 30  -18 88 53 24  -21 81 59 27  -20 58 6 0  79 30 150
call 16  67 29 16 -4 -21  -10 92 56 28  -16 99 48 21  -18 95 51 24  -31 65 5 0  48 33 154
call 15  51 20 14 -7 -22  -22 77 54 32  -29 85 50 25  -27 82 52 28  -26 26 -2 -2  73 2 144
fist 31  51 49 66 39 37  -5 90 115 69  -10 101 117 71  -14 102 116 67  -17 102 115 64  27 -29 -6
fist 28  43 54 52 40 36  -3 86 112 66  -10 96 115 67  -15 99 113 62  -21 98 111 62  17 -28 -4
fist 21  55 42 69 36 35  -5 93 114 66  -11 102 115 65  -14 102 113 63  -17 101 110 62  14 -31 -6
fist 19  34 53 49 31 26  -2 83 111 67  -11 94 116 67  -17 97 114 63  -26 100 111 62  5 -28 1
dislike 40  54 47 -31 -8 -17  -4 89 107 61  -11 99 114 61  -16 97 116 62  -23 91 115 62  98 -20 7
dislike 37  57 50 -27 -8 -17  -1 84 98 61  -9 91 110 64  -14 89 113 65  -25 81 115 67  86 -22 7
dislike 13  46 58 -30 -2 -17  -2 63 92 59  -7 65 96 63  -10 57 88 59  -15 53 75 41  92 -15 9
dislike 10  67 41 -13 -6 -13  -7 68 91 51  -11 75 95 60  -17 70 92 63  -27 62 78 44  72 -19 -1
four 41  4 23 19 34 20  9 24 -6 -6  -2 21 0 -5  -9 22 2 -5  -24 32 -6 -4  4 23 1
four 34  9 21 21 36 22  9 24 -6 -6  -2 22 0 -5  -9 23 2 -5  -25 31 -6 -4  10 25 -2
four 14  9 23 18 39 21  10 23 -6 -6  0 19 0 -6  -8 20 1 -5  -26 30 -6 -5  -4 26 -2
four 11  1 10 21 39 24  8 22 -6 -7  -4 19 -1 -6  -11 18 1 -5  -26 24 -6 -3  20 31 4
two_up 33  1 40 -4 36 17  -5 21 -5 -5  -2 20 1 -5  -17 57 85 48  -31 74 78 48  1 9 8
two_up 29  3 38 3 35 18  -4 36 -3 -5  -2 36 4 -4  -14 63 83 46  -24 68 69 40  -1 -5 6
two_up 27  2 41 2 38 16  -7 34 -5 -5  -4 34 1 -6  -17 58 81 46  -27 70 72 44  8 1 4
two_up 11  -1 47 -5 33 8  -2 27 -3 -4  0 29 4 -4  -12 63 78 45  -26 75 75 47  -7 2 2
mute 50  -13 45 -16 29 1  -27 14 -2 -2  -26 74 89 34  -27 90 83 37  -32 94 68 38  0 10 75
mute 27  58 32 18 -4 -3  -30 4 -1 -2  -27 75 83 34  -25 91 78 38  -27 93 67 40  11 12 82
mute 23  -7 45 -14 33 3  -25 19 1 -1  -26 78 97 39  -29 91 89 39  -33 93 77 40  -11 10 77
ok 43  29 59 13 11 19  -6 73 36 22  -9 39 3 -5  -21 25 9 -1  -38 21 1 0  5 1 21
ok 23  30 54 17 12 20  -4 71 35 20  -10 37 3 -4  -19 22 10 -1  -35 16 1 1  13 6 25
ok 22  31 65 11 10 20  -9 77 38 22  -11 46 5 -4  -22 32 11 0  -38 27 3 1  -9 -6 23
ok 12  28 54 13 10 17  -5 69 38 22  -8 39 3 -5  -19 27 8 -1  -35 21 1 0  27 5 23
one 32  23 54 28 31 20  6 -2 4 4  -12 78 81 47  -20 90 89 56  -29 94 94 55  -2 -18 -3
one 31  19 29 11 34 24  4 10 -6 -4  -9 58 83 47  -17 69 86 50  -26 70 90 51  4 12 4
one 24  12 45 3 26 20  1 23 -4 -5  -8 68 99 49  -18 81 95 51  -31 89 91 50  -9 6 24
one 12  15 35 18 30 18  14 6 -4 -2  -10 59 78 45  -19 72 83 50  -29 75 88 48  -14 10 2
palm 48  36 22 -9 2 -11  11 21 -5 -5  3 20 0 -5  -2 21 2 -5  -16 30 -5 -4  2 32 -7
palm 27  34 20 -6 2 -10  13 22 -5 -5  6 21 0 -5  1 21 3 -4  -13 31 -5 -4  -6 30 -6
palm 25  37 19 -5 4 -10  9 20 -5 -5  3 20 -1 -5  -1 20 2 -5  -12 27 -5 -4  11 33 -8
peace 37  1 45 5 32 11  16 33 3 -2  -12 34 5 -3  -19 67 66 31  -32 79 55 31  -2 -3 1
peace 26  4 43 -3 37 11  12 21 -5 -4  -14 19 0 -6  -22 67 60 29  -33 77 86 50  -1 12 4
peace 21  3 47 6 34 11  19 19 2 0  -6 29 3 -3  -20 78 64 31  -31 88 67 43  -11 -5 -3
peace 17  8 53 13 33 11  20 23 6 1  -7 34 5 -3  -25 80 68 33  -31 90 78 51  10 -9 -9
peace_inverted 29  31 64 71 26 17  6 -3 4 3  -11 5 3 3  -16 84 59 26  -18 90 57 25  7 38 162
peace_inverted 28  42 66 75 26 18  8 -3 5 4  -11 6 -1 3  -15 88 58 26  -16 92 57 25  3 39 165
peace_inverted 28  35 65 70 29 19  10 -11 8 5  -8 1 3 4  -15 88 56 25  -17 93 55 24  14 37 163
peace_inverted 16  24 65 66 32 19  14 -8 10 6  -7 -1 4 5  -14 98 48 23  -15 100 119 66  10 34 167
rock 39  5 40 13 30 19  4 35 -2 -4  -12 64 72 39  -23 66 69 37  -26 40 -3 -4  13 -2 -2
rock 33  12 39 19 32 21  4 23 -5 -4  -10 71 83 53  -24 71 74 44  -22 30 -5 -5  4 3 -2
rock 28  15 37 13 34 23  1 24 -6 -5  -10 64 87 54  -22 64 77 45  -29 27 -5 -5  17 10 2
stop 37  26 15 11 15 -7  -1 22 -3 -5  2 23 -2 -6  5 20 3 -5  4 23 -5 -3  4 27 -7
stop 26  29 14 13 19 -3  -2 22 -3 -5  1 23 -1 -6  4 21 3 -5  3 23 -4 -3  9 28 -6
stop 23  26 16 12 17 -8  0 24 -3 -5  5 25 -1 -6  8 22 4 -5  7 24 -4 -3  -3 25 -9
stop 14  30 15 14 18 4  -3 23 -3 -5  0 24 -1 -7  3 22 3 -5  3 24 -5 -3  17 25 -6
stop_inverted 38  83 71 73 20 1  -5 5 -1 1  -1 3 -1 4  1 5 -3 3  1 1 5 3  5 42 -177
stop_inverted 23  32 62 28 16 -3  -5 0 -2 1  -2 -2 -1 3  1 2 -5 2  1 0 4 3  3 29 -176
stop_inverted 23  79 69 75 19 10  -6 7 0 2  -2 4 1 4  1 5 -2 3  2 3 3 2  -1 42 -179
stop_inverted 17  76 71 59 19 5  -8 7 -1 1  -3 4 0 3  0 5 -2 3  0 2 4 3  11 40 -177
three 48  -9 34 -8 37 12  4 31 -4 -6  -8 27 2 -5  -21 29 0 -7  -19 58 50 24  4 12 10
three 29  -9 38 -17 40 10  6 28 -6 -7  -8 23 0 -6  -19 24 0 -8  -19 56 43 20  -4 16 12
three 23  -9 32 -8 38 12  1 30 -5 -7  -11 27 1 -5  -22 29 0 -7  -20 56 50 25  13 13 11
three2 46  31 26 -31 -2 -16  8 15 -4 -6  -13 15 -3 -8  -24 46 70 41  -26 53 78 50  -2 24 8
three2 31  29 26 -31 -2 -16  8 19 -3 -6  -12 16 -2 -9  -23 44 69 41  -21 50 61 37  -14 25 11
three2 22  30 22 -30 1 -17  7 18 -5 -6  -13 15 -4 -8  -26 42 66 37  -26 48 77 49  12 29 11
like 32  81 40 27 -5 -20  -6 93 61 30  -10 100 51 23  -13 101 49 23  -16 99 54 23  75 43 167
like 31  75 44 19 -1 -20  -4 86 58 29  -10 92 49 23  -13 91 48 24  -17 87 53 24  80 32 170
like 26  83 36 24 -4 -20  -5 92 53 27  -11 99 45 23  -13 98 44 23  -17 95 50 22  90 36 166
like 10  68 41 28 -7 -21  -18 96 60 28  -13 104 57 25  -14 105 56 24  -14 104 62 24  56 51 156
two_up_inverted 50  28 65 65 30 19  -5 -1 7 5  -4 0 2 3  -13 91 53 25  -12 88 116 75  5 35 167
two_up_inverted 30  32 69 65 29 18  -7 3 7 5  -5 2 2 4  -12 90 56 25  -14 96 54 24  -2 38 167
two_up_inverted 20  24 65 63 30 16  -6 1 5 4  -5 2 2 4  -14 84 64 29  -17 91 59 26  9 38 161
no_gesture 26  30 27 19 29 4  -2 40 46 20  -12 52 45 20  -3 54 44 20  20 45 41 23  -168 18 -141
no_gesture 20  21 27 11 24 3  -4 27 28 13  -28 39 29 14  -29 43 26 13  -1 38 23 15  -160 18 -121
no_gesture 13  38 22 7 27 2  2 43 35 15  -14 59 35 13  -14 61 35 12  8 47 40 18  168 -28 31
no_gesture 9  32 -11 8 21 4  10 -5 6 3  11 -3 9 4  13 -6 11 5  17 -12 12 7  -171 63 0
no_gesture 6  47 12 1 28 7  20 12 46 22  -18 62 32 9  -12 60 39 12  8 48 43 18  150 -26 30
no_gesture 5  30 19 9 21 6  12 32 51 25  4 32 62 24  -6 37 60 23  -13 30 56 27  -150 -51 12
no_gesture 4  7 -10 21 16 10  -20 -4 15 10  -20 1 18 11  -17 1 19 10  -11 0 16 10  99 -41 -140
no_gesture 4  14 -19 17 16 13  -13 -11 20 11  -12 -7 27 14  -9 -7 30 15  -4 -8 27 16  -104 40 20
no_gesture 4  32 29 12 21 7  2 56 41 17  -9 66 40 15  -6 62 43 16  0 50 49 21  160 35 -164
no_gesture 4  -1 17 7 8 2  8 18 21 11  33 22 18 10  38 24 13 8  32 25 12 7  168 -6 98
no_gesture 2  26 15 15 15 4  1 19 2 -1  2 16 -3 -1  3 17 -5 -2  1 15 -5 -3  179 74 -161
no_gesture 1  40 14 7 12 4  -11 12 13 6  7 3 10 6  12 4 7 7  9 10 8 5  107 -45 64
no_gesture 1  12 17 12 18 12  17 22 38 20  -7 35 55 22  -15 42 54 22  -32 39 64 29  -32 -55 -36
no_gesture 1  7 15 23 21 11  -2 19 47 20  -15 35 35 15  -19 48 29 12  -31 50 32 15  35 53 149
"""
"""Per line: gesture, share in per cent; then in degrees thumb (spread, elevation, roll, mcp, ip), index,
middle, ring and pinky (spread, mcp, pip, dip each), roll, pitch, yaw."""

RELAXED: Final = np.radians(
    np.array([22, 14, 13, 20, 4, 3, 20, 28, 14, 0, 24, 30, 15, -3, 28, 29, 14, -5, 26, 27, 14], np.float32)
)
"""Joint angles (21,) float32 of a hand at rest, in radians: what it passes through between gestures."""

SCATTER: Final = np.radians(
    np.array([3, 3, 5, 5, 6, *(2, 4, 5, 4) * 4, 5, 5, 6], np.float32),
)
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
"""Factor on `SCATTER` for gestures that are told apart by little (below 1) or by much (above 1)."""

BLEND: Final = 0.7
"""Dirichlet concentration of a blend per archetype: below 1, most hands lie near one archetype."""


def _archetypes() -> tuple[list[Float32], list[NDArray[np.float64]]]:
    """Per label the archetypes (k, 24) in radians and their shares (k,)."""
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
_LOOSENESS: Final = np.array([LOOSENESS.get(name, 1.0) for name in LABELS], np.float32)


def draw_poses(labels: NDArray[np.int64], rng: np.random.Generator) -> Float32:
    """One pose (n, 24) in radians for each of the gestures `labels` (n,)."""
    scatter = np.clip(rng.standard_normal((len(labels), ANGLES), np.float32), -2.5, 2.5)
    poses = scatter * SCATTER * _LOOSENESS[labels, None]
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        poses[rows] += _blend(int(label), len(rows), rng)
    return poses


def _blend(label: int, count: int, rng: np.random.Generator) -> Float32:
    """Blends (count, 24) of one gesture's archetypes; idle hands have little in common: one each."""
    shares = SHARES[label]
    if label == LABELS[NO_GESTURE]:
        return ARCHETYPES[label][rng.choice(len(shares), size=count, p=shares)]
    weights = rng.gamma(BLEND * len(shares) * shares, size=(count, len(shares))) + 1e-9
    weights /= weights.sum(axis=1, keepdims=True)
    return weights.astype(np.float32) @ ARCHETYPES[label]
