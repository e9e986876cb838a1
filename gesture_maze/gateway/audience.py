"""The players of this gateway, as the page /watch shows them."""

from __future__ import annotations

from typing import Any, Final

from gesture_maze.gateway.game import Game, ways_of
from gesture_maze.gateway.sessions import Session, Sessions

MOST_SHOWN: Final = 40
"""Players in one answer; each is some 200 bytes."""


def audience(sessions: Sessions) -> dict[str, Any]:
    """Return who plays now: how many in all, and the mazes of those shown."""
    playing = [(one, one.game) for one in sessions.present() if one.game is not None]
    return {"count": len(playing), "players": [_shown(*pair) for pair in playing[:MOST_SHOWN]]}


def _shown(session: Session, game: Game) -> dict[str, Any]:
    return {
        "name": session.name,
        "width": game.maze.width,
        "height": game.maze.height,
        "ways": ways_of(game.maze),
        "cell": game.cell,
        "moves": game.moves,
        "finished": game.finished,
        "race": game.race is not None,
    }
