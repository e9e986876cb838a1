"""New session ids for replays that must not use those of the capture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from os import urandom
from typing import Final

from gesture_maze.capture.reader import Block
from gesture_maze.wire.keys import check_session

MAX_SESSION: Final = 64
"""Longest session id of the wire."""


class Renaming:
    """Maps session ids to those of each copy of the session, and back.

    Args:
        copies: how often each session is replayed.
        tag: appended to the ids, with the number of the copy. None keeps the ids if there is one copy, and
            appends only the number otherwise.
    """

    def __init__(self, copies: int = 1, tag: str | None = None) -> None:
        self.copies: Final = copies
        self._tag: Final = "" if tag is None else tag
        self._keep: Final = copies == 1 and tag is None
        self._new: Final[dict[tuple[str, int], str]] = {}
        self._old: Final[dict[str, str]] = {}

    @classmethod
    def fresh(cls, copies: int = 1) -> Renaming:
        """Return a renaming with new, unique ids."""
        return cls(copies, f"r{urandom(4).hex()}")

    def blocks(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Yield each block once per copy, under the new session ids."""
        for block in blocks:
            if self._keep:
                yield block
                continue
            for copy in range(self.copies):
                yield block.renamed(partial(self.new, copy=copy))

    def new(self, session: str, copy: int = 0) -> str:
        """Return the id of a copy of `session`. A long id is cut to fit the tag.

        Raises:
            FrameError: `bad_session`, if `session` is not a session id.
        """
        if self._keep:
            return session
        if (session, copy) not in self._new:
            tail = f"-{self._tag}{copy if self.copies > 1 or not self._tag else ''}"
            name = check_session(session)[: MAX_SESSION - len(tail)] + tail
            if name in self._old:  # two long ids that differ only at their ends
                tail = f"-{len(self._old)}{tail}"
                name = session[: MAX_SESSION - len(tail)] + tail
            self._new[session, copy] = name
            self._old[name] = session
        return self._new[session, copy]

    def original(self, session: str) -> str:
        """Return the id of a session in the capture, or `session` itself if there are several copies."""
        return self._old.get(session, session) if self.copies == 1 else session
