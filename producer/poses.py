"""How people hold their hand for each of the 19 gestures: archetypes, and random hands between them.

Every hand of a gesture is a random blend of the gesture's archetypes plus a little of its own, so that its
joints vary together as they do in people. An archetype is the mean pose of a group of people, found by fitting
this package's hand model to hands of HaGRID (Kapitanov et al., arXiv:2206.08219; hukenovs/hagrid) and
clustering the fits. All is told for a right hand.
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
call 47  63 29 19 -3 -21  -17 82 62 33  -20 92 54 24  -23 87 56 27  -31 40 0 -1  62 29 154
call 34  53 26 16 -4 -21  -17 79 55 32  -19 85 55 25  -22 82 53 26  -29 30 0 -1  76 19 149
call 19  58 28 19 -4 -21  -16 84 60 32  -19 94 57 24  -21 93 53 26  -30 51 -1 -2  49 35 156
fist 31  44 45 57 41 39  -1 93 111 64  -9 99 115 70  -16 100 114 66  -27 101 111 63  27 -28 -4
fist 28  38 50 49 41 36  -2 88 111 64  -10 96 115 68  -16 98 112 62  -26 100 110 61  17 -29 -4
fist 21  45 35 61 36 38  -2 94 113 64  -11 101 115 65  -16 100 112 62  -25 101 108 60  15 -31 -3
fist 19  40 47 57 34 28  -3 89 110 64  -10 95 115 66  -16 96 112 63  -27 100 110 61  4 -30 -3
dislike 41  47 48 -26 -5 -16  0 76 96 53  -7 79 101 63  -12 79 104 65  -25 74 104 62  91 -20 6
dislike 33  47 29 -10 -4 -16  -1 84 106 58  -7 89 115 66  -13 87 116 68  -28 84 113 64  101 -18 7
dislike 16  35 25 -25 -3 -13  3 84 104 51  -7 91 105 49  -15 92 110 51  -23 86 107 52  89 31 9
dislike 10  52 41 -9 -9 -15  -6 71 96 50  -8 76 97 57  -16 71 97 63  -22 50 87 52  70 -21 3
four 41  6 20 17 35 21  9 21 -5 -5  -2 20 0 -5  -7 22 1 -4  -21 28 -5 -3  3 26 -1
four 34  9 19 19 36 22  8 22 -5 -5  -2 20 0 -5  -7 22 1 -4  -22 28 -5 -3  10 29 -2
four 14  9 19 22 39 22  10 21 -5 -5  -1 19 -1 -5  -7 20 0 -5  -23 27 -6 -3  -4 29 -2
four 11  4 14 20 38 24  9 22 -6 -6  -2 21 0 -5  -8 21 0 -5  -23 27 -5 -3  18 31 1
two_up 45  5 40 1 37 16  -5 23 -3 -4  -2 21 3 -3  -17 62 80 44  -25 69 80 46  0 5 4
two_up 27  6 42 3 38 17  -6 27 -3 -4  -2 32 3 -3  -16 61 81 44  -24 65 78 45  8 1 1
two_up 15  7 46 6 38 19  -2 -3 -1 -2  0 -1 5 0  -15 61 80 44  -24 64 75 45  -3 -11 6
two_up 12  5 42 -3 37 11  -3 27 -3 -3  -1 29 4 -2  -14 63 78 44  -23 69 78 46  -7 1 -1
mute 41  -10 30 -4 17 2  -15 12 -2 -1  -17 75 87 39  -21 88 85 39  -26 91 80 39  0 14 70
mute 24  49 31 15 14 2  -15 4 -3 -1  -14 74 69 37  -18 85 76 38  -26 88 68 39  12 20 76
mute 21  46 21 32 -11 1  -2 2 -4 -2  -18 72 90 40  -25 85 89 39  -28 88 83 40  -9 -14 -97
mute 14  49 22 34 -8 1  -17 13 0 -1  -17 65 90 39  -23 81 89 39  -29 85 83 39  -1 -2 -93
ok 43  27 38 15 9 17  -2 54 38 23  -1 29 0 -6  -13 20 4 -3  -28 19 -2 -1  5 15 11
ok 23  29 33 17 8 19  7 42 39 23  0 24 0 -6  -10 17 5 -3  -23 17 -2 -1  12 29 10
ok 22  25 50 11 10 18  -3 59 38 23  -3 36 1 -5  -13 25 8 -1  -30 22 2 0  -9 5 22
ok 12  27 38 15 7 14  4 51 39 23  0 29 0 -6  -14 23 4 -3  -21 20 -1 -1  26 22 14
one 33  24 49 27 33 22  6 4 7 2  -10 76 85 45  -18 88 88 50  -28 93 92 51  -3 -16 -3
one 30  23 39 12 34 24  0 10 -2 -2  -10 67 83 45  -18 76 88 48  -25 83 89 51  5 6 2
one 25  16 38 9 27 19  3 14 -2 -2  -8 66 86 46  -17 82 91 49  -28 86 94 51  -8 12 20
one 12  18 37 17 31 19  9 4 0 -1  -10 69 79 44  -19 82 84 49  -30 82 90 50  -14 1 5
palm 46  32 20 -6 0 -11  10 18 -4 -5  2 18 0 -5  -3 19 2 -5  -16 27 -5 -4  2 37 -6
palm 27  31 18 -3 1 -10  9 18 -4 -5  2 19 0 -6  -2 19 1 -5  -13 25 -5 -4  10 35 -6
palm 26  29 19 -4 1 -10  11 19 -3 -5  4 19 0 -5  -1 20 2 -5  -13 27 -5 -4  -5 35 -3
peace 54  8 46 7 36 13  14 20 -1 -1  -13 26 3 -3  -20 66 67 34  -29 73 70 42  -2 1 1
peace 24  6 44 4 36 13  15 14 0 -1  -9 26 3 -3  -19 73 69 35  -29 80 69 40  -11 -2 -2
peace 22  10 43 6 37 13  15 18 1 -2  -12 24 3 -3  -21 76 71 37  -28 78 78 46  7 -2 -3
peace_inverted 34  31 63 60 26 18  14 8 5 3  -7 19 4 4  -19 81 57 27  -21 87 56 28  5 33 170
peace_inverted 30  31 64 63 27 18  11 0 4 3  -8 5 4 4  -18 81 59 28  -21 86 59 28  10 35 165
peace_inverted 20  26 60 58 29 19  12 -5 4 3  -7 11 4 3  -20 82 59 28  -20 89 61 29  15 28 167
peace_inverted 16  19 60 53 32 19  16 -2 5 4  -5 6 5 4  -17 90 51 27  -22 99 115 51  11 25 170
rock 39  10 38 13 31 19  4 19 -1 -3  -11 61 74 42  -21 63 72 41  -23 36 -4 -4  12 1 -3
rock 33  11 34 15 34 20  2 19 -3 -3  -10 67 81 47  -21 67 76 43  -22 29 -5 -4  3 6 1
rock 28  16 37 11 33 20  1 21 -4 -4  -10 64 84 50  -21 63 76 43  -28 27 -5 -4  18 10 3
stop 53  23 14 9 15 -9  -2 20 -2 -5  0 21 -1 -6  2 20 3 -5  3 23 -4 -3  6 31 -5
stop 26  20 15 9 16 -9  -2 21 -2 -5  1 22 0 -6  3 20 3 -4  4 23 -5 -3  -2 29 -4
stop 21  25 14 9 16 -4  -3 20 -2 -5  -1 21 -1 -6  1 19 2 -5  3 22 -5 -3  16 32 -4
stop_inverted 38  77 71 62 18 0  -5 4 0 1  -2 2 0 3  1 3 -1 2  2 2 4 2  4 42 -178
stop_inverted 26  25 28 -2 19 3  -5 4 -2 0  -2 2 -2 1  -1 3 1 2  -1 2 3 2  3 -10 -174
stop_inverted 20  76 67 70 20 13  -6 4 0 1  -4 3 0 3  -2 3 0 2  0 2 3 2  -2 41 -179
stop_inverted 16  69 67 50 19 4  -6 5 0 1  -3 3 0 3  0 4 1 2  1 2 4 2  10 39 -178
three 48  0 38 -2 42 14  9 23 -4 -5  -3 27 2 -5  -17 31 1 -6  -19 57 55 27  3 10 4
three 29  1 38 -7 42 14  10 23 -5 -5  -4 25 1 -5  -15 26 0 -6  -20 58 49 25  -5 16 5
three 23  0 36 -2 42 14  6 28 -4 -5  -5 31 2 -4  -17 32 1 -6  -20 55 52 26  12 8 4
three2 46  31 25 -30 -2 -16  8 15 -4 -5  -14 16 -3 -7  -21 47 77 43  -29 53 78 44  -1 24 9
three2 31  30 25 -30 -3 -17  8 21 -3 -5  -13 19 -2 -7  -22 46 76 43  -28 51 76 45  -12 23 11
three2 22  30 22 -26 -1 -18  7 19 -4 -5  -13 16 -3 -8  -23 42 76 43  -30 48 77 44  11 27 10
like 46  77 48 21 -5 -19  -11 89 60 31  -11 96 50 24  -11 97 48 24  -14 97 52 23  78 38 171
like 23  79 42 24 -7 -20  -11 90 61 30  -13 97 49 25  -13 98 44 24  -15 98 51 23  87 36 168
like 22  28 4 52 -10 -20  -12 91 68 33  -15 99 61 26  -16 100 59 25  -16 101 63 24  67 48 157
like 9  49 29 33 -2 -20  -9 93 66 31  -10 99 59 25  -10 101 58 24  -14 101 67 25  53 54 166
two_up_inverted 50  19 61 53 30 19  -4 9 7 5  -1 7 4 3  -16 86 55 28  -17 92 113 52  5 30 169
two_up_inverted 30  23 67 52 30 19  -5 12 7 5  -3 11 4 3  -15 84 58 28  -19 91 59 28  -2 35 170
two_up_inverted 20  19 64 51 32 17  -2 9 6 4  -1 11 3 2  -15 82 62 29  -19 90 59 28  10 35 166
no_gesture 33  21 17 16 22 4  -1 29 30 15  -8 37 36 17  -12 43 33 16  -5 36 30 16  -168 20 -129
no_gesture 13  23 14 13 22 1  0 25 23 12  2 26 31 15  -2 34 29 12  3 24 29 15  174 -17 33
no_gesture 12  22 5 8 17 3  7 8 17 9  3 9 18 11  1 9 15 8  0 6 16 7  -156 49 7
no_gesture 9  22 15 16 20 6  9 39 59 30  11 53 55 27  17 57 51 27  18 53 50 26  -169 6 -146
no_gesture 8  23 11 12 18 3  3 16 19 11  7 16 25 13  3 19 23 10  7 17 24 12  160 -4 36
no_gesture 5  22 12 13 17 6  -2 22 31 15  -2 17 29 14  -2 21 26 14  -8 20 26 12  162 30 -159
no_gesture 5  23 20 14 20 5  -2 20 17 10  -5 21 27 12  -11 30 26 10  -8 25 24 13  -160 24 -136
no_gesture 4  15 10 16 16 8  -5 20 25 12  -6 15 25 15  -4 17 22 13  -3 16 19 11  100 -27 -172
no_gesture 4  16 2 16 17 9  -1 6 19 11  -6 6 24 13  -8 7 21 11  -6 6 17 10  -102 40 -3
no_gesture 2  33 4 9 16 8  -5 12 13 7  -7 10 14 8  -2 6 17 9  -2 8 13 9  132 -27 22
no_gesture 2  9 1 11 19 13  10 3 22 10  -7 27 32 15  -14 36 25 13  -21 35 24 14  -34 -45 -7
no_gesture 1  11 14 22 20 8  0 20 34 17  -8 34 27 14  -21 43 25 11  -24 35 11 3  34 56 147
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

LOOSENESS: Final[dict[str, float]] = {}
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
