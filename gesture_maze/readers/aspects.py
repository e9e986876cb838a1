"""The aspect of an image as people write it. Pure; imports nothing, so that a command line starts fast."""

from __future__ import annotations


def parse_aspect(text: str) -> float:
    """Return an aspect from `1.3333`, `4:3`, `16/9` or `640x480`.

    Raises:
        ValueError: it is none of these, or not from 0.01 to 100.
    """
    for sign in (":", "/", "x", "X"):
        width, found, height = text.partition(sign)
        if found:
            aspect = float(width) / float(height) if float(height) else 0.0
            break
    else:
        aspect = float(text)
    if not 0.01 <= aspect <= 100:
        raise ValueError(text)
    return aspect
