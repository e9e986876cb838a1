"""WS /play: what happens on the socket of one player."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from gesture_maze.gateway import messages
from gesture_maze.gateway.fan import Answer, Fan
from gesture_maze.gateway.game import Game, Input
from gesture_maze.gateway.limits import Doorkeeper, Patience
from gesture_maze.gateway.messages import Hello, Key, Shown, Start, say
from gesture_maze.gateway.metrics import Metrics
from gesture_maze.gateway.outbox import Outbox
from gesture_maze.gateway.refusals import BAD_REQUEST, CLOSE_CODES, GatewayError, Refusal
from gesture_maze.gateway.scoreboard import Scoreboard
from gesture_maze.gateway.sessions import Session, Sessions
from gesture_maze.gateway.settings import Settings
from gesture_maze.gateway.tokens import Claim, Tokens, new_session
from gesture_maze.wire.gestures import DEFAULT_ACTIONS

GARBAGE_WEIGHT: Final = 6.0
"""Ten pieces of garbage end a socket; a frame that came too fast weighs 1."""
TELL_S: Final = 0.5
"""A client is told about its faults at most so often: answers must not amplify a flood."""
LINGER_S: Final = 0.5
"""Between saying goodbye and cutting the line."""


@dataclass(frozen=True)
class Room:
    """What all sockets share."""

    settings: Settings
    metrics: Metrics
    tokens: Tokens
    doorkeeper: Doorkeeper
    sessions: Sessions
    outbox: Outbox
    fan: Fan
    scoreboard: Scoreboard
    tasks: set[asyncio.Task[None]]

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this beside everything else."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


class PlaySocket(WSListener):
    """One socket: hello -> welcome -> frames and messages up, replies and the game down.

    Args:
        room: what it shares with all others.
        address: where it comes from.
        bearer: see `gateway.tokens.bearer_of`.
    """

    def __init__(self, room: Room, address: str, bearer: str) -> None:
        self._room: Final = room
        self._address: Final = address
        self._bearer: Final = bearer
        self._transport: WSTransport | None = None
        self._session: Session | None = None
        self._greeting = False
        self._inside = False
        self._ended = False
        self._aspect = 4 / 3
        self._input: Input = "camera"
        self._patience: Final = Patience(time.monotonic())
        self._told_s = 0.0
        self._behind = False
        self._newest: Final[dict[str, bytes]] = {}
        self._deadline: asyncio.TimerHandle | None = None

    # --- what the socket does

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is done."""
        self._transport = transport
        try:
            self._room.doorkeeper.enter(self._address)
        except GatewayError as error:
            self.cut(error)
            return
        self._inside = True
        self._room.metrics.sockets(len(self._room.doorkeeper))
        late = GatewayError(Refusal.NO_HELLO, "no hello came in time")
        self._deadline = asyncio.get_running_loop().call_later(self._room.settings.hello_s, self.cut, late)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A message; whatever is wrong with it ends here."""
        kind = frame.msg_type
        if kind is WSMsgType.CLOSE:
            if not self._ended:
                transport.send_close(frame.get_close_code())
            transport.disconnect()
        if self._ended or kind in (WSMsgType.CLOSE, WSMsgType.PONG):
            return
        try:
            self._take(kind, frame)
        except GatewayError as error:
            self.refuse(error)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The socket has gone, however."""
        handshake = transport.close_handshake  # None where the line just broke
        sent = handshake.sent if handshake else None
        if not self._ended and sent and sent.code == WSCloseCode.MESSAGE_TOO_BIG:
            # picows has cut it off before we saw the message
            self._room.metrics.refused(Refusal.TOO_LARGE)
        self._ended = True
        if self._deadline is not None:
            self._deadline.cancel()
        if self._inside:
            self._inside = False
            self._room.doorkeeper.leave(self._address)
            self._room.metrics.sockets(len(self._room.doorkeeper))
        session = self._session
        if session is not None and self._room.sessions.leave(session, self):
            self._room.begin(self._room.fan.leave(session.id))

    def pause_writing(self) -> None:
        """The browser does not keep up: from now on only the newest of each kind is kept."""
        self._behind = True

    def resume_writing(self) -> None:
        """It has caught up."""
        self._behind = False
        newest = list(self._newest.values())
        self._newest.clear()
        for raw in newest:
            self._write(raw)

    # --- what the game does to it

    def hear(self, raw: bytes, answer: Answer) -> None:
        """See `gateway.sessions.Listener`: the reply goes on as it came."""
        session = self._session
        if session is None:
            return
        self._room.metrics.replied(session.waited_s(answer["seq"]))
        self._send("reply", raw)
        move = answer.get("move")
        if move is not None:
            self._step(session, move, self._input)

    def refuse(self, error: GatewayError) -> None:
        """Count it, say so, and cut off whoever does it all the time."""
        self._room.metrics.refused(error.refusal)
        if error.refusal in _NOT_THEIR_FAULT:
            weight = 0.0
        else:
            weight = 1.0 if error.refusal is Refusal.TOO_FAST else GARBAGE_WEIGHT
        if self._session is None or error.refusal is Refusal.TOO_LARGE:
            self._end(error)
            return
        now_s = time.monotonic()
        if self._patience.ends(weight, now_s):
            self.cut(GatewayError(Refusal.FLOOD, f"cut off: too much that was refused, last {error}"))
        elif now_s - self._told_s > TELL_S:
            self._told_s = now_s
            self._send("refused", say("refused", reason=error.reason, detail=str(error)))

    def cut(self, error: GatewayError) -> None:
        """End the socket for this reason."""
        self._room.metrics.refused(error.refusal)
        self._end(error)

    # --- inside

    def _take(self, kind: WSMsgType, frame: WSFrame) -> None:
        """One message, told apart by its kind."""
        if frame.payload_size > messages.MAX_MESSAGE_BYTES:
            raise GatewayError(Refusal.TOO_LARGE, f"a message has at most {messages.MAX_MESSAGE_BYTES} bytes")
        if not frame.fin or kind is WSMsgType.CONTINUATION:
            raise GatewayError(Refusal.BAD_FRAME, "messages must come in one piece")
        raw = frame.get_payload_as_bytes()
        if self._session is not None and kind is WSMsgType.BINARY:
            self._session.send(messages.unpack_frame(raw), self._room.outbox)
        elif self._session is not None:
            self._answer(self._session, raw)
        elif self._greeting:
            raise GatewayError(Refusal.NO_HELLO, "wait for the welcome before you send more")
        elif kind is WSMsgType.BINARY:
            raise GatewayError(Refusal.NO_HELLO, "the first message must be a hello, as text")
        else:
            hello = messages.read_hello(raw)
            self._greeting = True
            self._room.begin(self._greet(hello))

    async def _greet(self, hello: Hello) -> None:
        """Find or make the session, listen for its replies, and say welcome."""
        room = self._room
        try:
            claim = self._claim(hello)
            session = room.sessions.open(claim.session, claim.name)
            await room.fan.listen(session.id, session.hear)
        except GatewayError as error:
            self.cut(error)
            return
        if self._ended:
            if session.socket is None:
                await room.fan.leave(session.id)
            return
        if session.socket is not None:
            session.socket.cut(GatewayError(Refusal.REPLACED, "the game goes on in another window"))
        if hello.token:
            room.metrics.resumed()
        if self._deadline is not None:
            self._deadline.cancel()
        session.socket, self._session = self, session
        self._aspect = hello.width / hello.height
        self._send("welcome", self._welcome(session, room.tokens.issue(claim)))

    def _claim(self, hello: Hello) -> Claim:
        if hello.token is not None:
            return self._room.tokens.check(hello.token, self._bearer)
        return Claim(session=new_session(), name=messages.clean_name(hello.name), bearer=self._bearer)

    def _welcome(self, session: Session, token: str) -> bytes:
        game = session.game
        return say(
            "welcome",
            session=session.id,
            token=token,
            name=session.name,
            seq=session.begin_seq(),
            fps=self._room.settings.fps,
            actions=DEFAULT_ACTIONS,
            game=game.picture(time.monotonic()) if game else None,
        )

    def _answer(self, session: Session, raw: bytes) -> None:
        """A text message of a player who has been welcomed."""
        match messages.read_message(raw):
            case Start(size=size, seed=seed):
                session.game = Game.begin(size, seed)
                self._send("maze", say("maze", **session.game.picture(time.monotonic())))
            case Key(move=move):
                self._step(session, move, "keyboard")
            case Shown(input=shown):
                self._input = shown
            case frame:
                session.send(messages.pack_text(frame, self._aspect), self._room.outbox)

    def _step(self, session: Session, move: Any, by: Input) -> None:
        game = session.game
        now_s = time.monotonic()
        if game is None or not game.step(move, by, now_s):
            return
        self._send("at", say("at", **game.where(now_s), move=move, by=by))
        if game.finished:
            self._room.metrics.finished(game.size, game.input)
            self._room.begin(self._finish(session, game, game.time_ms(now_s)))

    async def _finish(self, session: Session, game: Game, time_ms: int) -> None:
        """Onto the scoreboard; where Redis is away, the maze was walked all the same."""
        rank = await self._room.scoreboard.add(game, session.name, session.id, time_ms)
        self._send(
            "finished", say("finished", rank=rank, moves=game.moves, time_ms=time_ms, input=game.input)
        )

    def _send(self, kind: str, raw: bytes) -> None:
        if not self._behind:
            self._write(raw)
            return
        if kind in self._newest and kind == "reply":
            self._room.metrics.reply_held()
        self._newest[kind] = raw

    def _write(self, raw: bytes) -> None:
        if self._transport is not None and not self._ended:
            self._transport.send(WSMsgType.TEXT, raw)

    def _end(self, error: GatewayError) -> None:
        if self._ended or self._transport is None:
            return
        self._write(say("refused", reason=error.reason, detail=str(error)))
        self._ended = True
        code: Any = CLOSE_CODES.get(error.refusal, BAD_REQUEST)  # picows knows no names for codes of our own
        self._transport.send_close(code, error.reason.encode())
        asyncio.get_running_loop().call_later(LINGER_S, self._transport.disconnect)


_NOT_THEIR_FAULT: Final = frozenset({Refusal.BUSY, Refusal.UNAVAILABLE})
