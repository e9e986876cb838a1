"""Draw a hand: in the terminal with braille dots, and as SVG."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from gesture_maze.wire.frames import LANDMARKS, Float32

BONES: Final = (
    (0, 1), (1, 2), (2, 3), (3, 4), (0, 5), (5, 6), (6, 7), (7, 8), (5, 9), (9, 10), (10, 11), (11, 12),
    (9, 13), (13, 14), (14, 15), (15, 16), (13, 17), (17, 18), (18, 19), (19, 20), (0, 17),
)  # fmt: skip
"""Pairs of landmarks that are joined by a line, as MediaPipe draws them."""

_BRAILLE: Final = 0x2800
_DOTS: Final = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""Bits of a braille character's 4 x 2 dots."""


def _fitted(landmarks: Float32, aspect: float, width: float, height: float) -> npt.NDArray[np.float64]:
    """Return points (21, 2) scaled into width x height, undistorted, y down."""
    points = landmarks[:, :2].astype(np.float64) * (aspect, 1.0)
    points -= points.min(axis=0)
    extent = points.max(axis=0)
    scale = min(width / max(extent[0], 1e-9), height / max(extent[1], 1e-9))
    fitted: npt.NDArray[np.float64] = points * scale + (np.array([width, height]) - extent * scale) / 2
    return fitted


def braille(landmarks: Float32, aspect: float, columns: int = 22, rows: int = 11) -> list[str]:
    """Return the hand as `rows` lines of `columns` characters.

    Args:
        landmarks: (21, 3) float32; all zeros means no hand.
        aspect: image width / height.
        columns: characters per line.
        rows: lines.
    """
    if not landmarks.any():
        return ["(no hand)"]
    points = _fitted(landmarks, aspect, 2 * columns - 1, 4 * rows - 1)
    dots = np.zeros((4 * rows, 2 * columns), np.bool_)
    for begin, end in BONES:
        steps = int(np.abs(points[end] - points[begin]).max()) + 1
        line = np.linspace(points[begin], points[end], steps + 1).round().astype(int)
        dots[line[:, 1], line[:, 0]] = True
    cells = (dots.reshape(rows, 4, columns, 2) * _DOTS[None, :, None, :]).sum(axis=(1, 3))
    return ["".join(chr(_BRAILLE + int(cell)) for cell in row).rstrip(chr(_BRAILLE)) for row in cells]


def svg(landmarks: Float32, aspect: float, size: int = 150) -> str:
    """Return the hand as an SVG element, `size` pixels square."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{size}" height="{size}" class="hand">'
    if not landmarks.any():
        return f'{head}<text x="50%" y="50%" text-anchor="middle">no hand</text></svg>'
    points = _fitted(landmarks, aspect, size - 16, size - 16) + 8
    lines = "".join(
        '<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>'.format(*points[a], *points[b])
        for a, b in BONES
    )
    circles = "".join(
        f'<circle cx="{points[at, 0]:.1f}" cy="{points[at, 1]:.1f}" r="2.5"/>' for at in range(LANDMARKS)
    )
    return f"{head}{lines}{circles}</svg>"
