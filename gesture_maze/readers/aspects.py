"""Parses the aspect of an image. Pure; imports nothing, so that a command line starts fast."""

from __future__ import annotations


def parse_aspect(text: str) -> float:
    """Return an aspect from `1.3333`, `4:3`, `16/9` or `640x480`.

    Raises:
        ValueError: it is none of these, or not from 0.01 to 100.
    """
    sign = next((sign for sign in ":/xX" if sign in text), None)
    parts = [text, "1"] if sign is None else text.split(sign, 1)
    try:
        aspect = float(parts[0]) / float(parts[1])
    except (ValueError, ZeroDivisionError):
        aspect = 0.0
    if not 0.01 <= aspect <= 100:
        raise ValueError(f"expected 640x480, 4:3 or a number from 0.01 to 100, got {text!r}")
    return aspect
