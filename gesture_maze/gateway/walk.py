"""Applies a player's moves to the token of the socket's game, alone or in a race."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from typing import Final

from gesture_maze.gateway.game import Game, Input, Size
from gesture_maze.gateway.messages import RaceEntry, encoded
from gesture_maze.gateway.races import Race, Racer
from gesture_maze.gateway.refusals import GatewayError
from gesture_maze.gateway.room import Room
from gesture_maze.gateway.sessions import Session
from gesture_maze.wire.gestures import Move

WHO_CHARACTERS: Final = 8


def who_is(session: str) -> str:
    """Return what other racers may know of a session id: enough to tell players apart, no more."""
    return hashlib.sha256(session.encode()).hexdigest()[:WHO_CHARACTERS]


class Walk:
    """Moves the token of one socket's session and reports it to its browser.

    Args:
        room: what all sockets share.
        session: the player.
        send: sends a message of a kind to the browser.
        refuse: reports a refusal to the browser.
    """

    def __init__(
        self,
        room: Room,
        session: Session,
        send: Callable[[str, bytes], None],
        refuse: Callable[[GatewayError], None],
    ) -> None:
        self.paused = False
        """Moves have no effect, because a menu is open."""
        self._room: Final = room
        self._session: Final = session
        self._send: Final = send
        self._refuse: Final = refuse
        self._race: str | None = None
        self._reporting = False
        self._unreported = False
        self._renamed = False
        self._publishing: Final = asyncio.Lock()

    def start(self, size: Size, seed: int) -> None:
        """Begin a new maze, alone."""
        self._quit()
        before = self._session.game
        self._show(Game.begin(size, seed))
        if before is not None and before.began_s is not None:
            # the saved game must not be restored
            self._save()

    def step(self, move: Move, by: Input) -> None:
        """Move the token one step, if the game allows it."""
        game = self._session.game
        now_s = time.monotonic()
        if game is None or self.paused or not game.step(move, by, now_s):
            return
        self._send("at", encoded("at", **game.where(now_s), move=move, by=by))
        self._save()
        if game.race is not None and game.race == self._race:
            self._unreported = True
            self._begin_report()
        if game.finished:
            self._room.metrics.finished(game.size, game.input)
            self._room.begin(self._finish(game, game.time_ms(now_s)))

    # --- races

    async def enter(self, entry: RaceEntry) -> None:
        """Join a race, or begin one."""
        races = self._room.races
        me = Racer(who=who_is(self._session.id), name=self._session.name)
        try:
            if entry.id is not None and entry.look and await self._look(entry.id):
                return
            if entry.id is None or entry.id != self._race:
                self._quit()
            if entry.id is None:
                race = await races.begin(entry.size, self, me)
            else:
                race = await races.join(entry.id, self, me)
        except GatewayError as error:
            self._refuse(error)
            return
        self._race = race.id
        self.race_news(race)

    async def _look(self, race: str) -> bool:
        """Show the browser whose race this is, unless its player is in it; return whether it was shown."""
        found = await self._room.races.look(race, who_is(self._session.id))
        if found.of(who_is(self._session.id)) is not None:
            return False
        names = [one.name for one in found.racers]
        self._send("race_found", encoded("race_found", id=race, names=names))
        return True

    async def go(self) -> None:
        """Start the race that the player is in."""
        if self._race is None:
            return
        try:
            await self._room.races.start(self._race)
        except GatewayError as error:
            self._refuse(error)

    def leave(self) -> None:
        """Stop following the race: the socket is closed, and its player may return."""
        if self._race is not None:
            self._room.races.leave(self._race, self)
        self._race = None

    def race_news(self, race: Race) -> None:
        """See `gateway.races.Member`."""
        starts_in_ms = race.starts_ms - time.time_ns() // 1_000_000
        self._send("race", encoded("race", **race.model_dump(), you=who_is(self._session.id), over=race.over))
        game = self._session.game
        begun = game is not None and game.race == race.id and game.seed == race.seed
        ended = any(one.who == who_is(self._session.id) and one.place is not None for one in race.racers)
        if race.starts_ms and not begun and not ended:
            opens_s = time.monotonic() + starts_in_ms / 1000
            self._show(Game.begin_race(race.size, race.seed, race.id, opens_s))
            self._save()

    def racer_news(self, racer: Racer) -> None:
        """See `gateway.races.Member`."""
        self._send(f"racer {racer.who}", encoded("racer", **racer.model_dump()))

    def renamed(self) -> None:
        """Show the others in the race the session's new name."""
        self._renamed = True
        self._begin_report()

    def _begin_report(self) -> None:
        """Start publishing what has changed, one change after the other."""
        if not self._reporting:
            self._reporting = True
            self._room.begin(self._report())

    async def _report(self) -> None:
        """Publish the player's name and the token's position, until the published ones are current."""
        try:
            while (self._unreported or self._renamed) and self._race is not None:
                if self._renamed:
                    self._renamed = False
                    await self._change(self._race, name=self._session.name)
                    continue
                self._unreported = False
                game = self._session.game
                if game is None or game.race != self._race:
                    return
                racer = Racer(
                    who=who_is(self._session.id),
                    name=self._session.name,
                    cell=game.cell,
                    moves=game.moves,
                    time_ms=game.time_ms(time.monotonic()) if game.finished else None,
                )
                async with self._publishing:
                    await self._room.races.report(self._race, racer)
        finally:
            self._reporting = False

    def _quit(self) -> None:
        """Leave the race permanently."""
        race = self._race
        self.leave()
        if race is not None:
            self._room.begin(self._change(race, left=True))

    async def _change(self, race: str, **changed: str | bool) -> None:
        """Change the player's entry in the race, after all reports that have begun."""
        async with self._publishing:
            await self._room.races.change(race, who_is(self._session.id), **changed)

    # --- internals

    def _show(self, game: Game) -> None:
        self._session.game = game
        self._send("maze", encoded("maze", **game.picture(time.monotonic())))

    def _save(self) -> None:
        if self._session.game is not None:
            self._room.saved.note(self._session.id, self._session.game)

    async def _finish(self, game: Game, time_ms: int) -> None:
        """Enter the walk on the scoreboards; without Redis it has no rank."""
        session = self._session
        rank = await self._room.scoreboard.add(game, session.name, session.id, time_ms)
        facts = {"rank": rank, "moves": game.moves, "time_ms": time_ms, "input": game.input}
        maze = {"size": game.size, "seed": game.seed, "shortest": game.shortest, "race": game.race}
        self._send("finished", encoded("finished", **facts, **maze))
