"""WS /play: the socket of one player."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from gesture_maze.gateway import messages
from gesture_maze.gateway.fan import Answer
from gesture_maze.gateway.forwarded import network_of
from gesture_maze.gateway.game import Input
from gesture_maze.gateway.limits import Allowance, FaultBudget
from gesture_maze.gateway.messages import (
    Go,
    Hello,
    Key,
    Name,
    Pause,
    RaceEntry,
    Shown,
    Start,
    TextFrame,
    encoded,
)
from gesture_maze.gateway.refusals import BAD_REQUEST, CLOSE_CODES, GatewayError, Refusal
from gesture_maze.gateway.room import Room
from gesture_maze.gateway.sessions import Session
from gesture_maze.gateway.tokens import Claim, new_session
from gesture_maze.gateway.walk import Walk
from gesture_maze.wire.gestures import Action
from gesture_maze.wire.session_settings import SessionSettings

GARBAGE_WEIGHT: Final = 6.0
"""Weight of a malformed message: ten of them end a socket. A frame above the rate limit has weight 1."""
FAULT_ANSWER_S: Final = 0.5
"""Least time between two error messages to a client: they must not amplify a flood."""
MESSAGES_PER_S: Final = 20
"""Most messages other than frames, per second and at once: faster than a person types, slower than a
program."""
LINGER_S: Final = 0.5
"""Pause between the last message and closing the connection."""
TIMING_S: Final = 1.0
"""Interval at which a browser receives the round-trip time of its frames between this gateway and the
pool."""


class PlaySocket(WSListener):
    """One socket: hello -> welcome -> frames and messages up, replies and the game down.

    Args:
        room: the parts that all sockets share.
        address: the client's address.
        bearer: see `gateway.tokens.bearer_of`.
    """

    def __init__(self, room: Room, address: str, bearer: str) -> None:
        self._room: Final = room
        self._network: Final = network_of(address)
        self._bearer: Final = bearer
        self._transport: WSTransport | None = None
        self._session: Session | None = None
        self._walk: Walk | None = None
        self._waits_s: Final[list[float]] = []
        self._timed_s = 0.0
        self._greeting = False
        self._settings: SessionSettings | None = None
        self._mapping: dict[str, Action] = {}
        """The mapping of the pool that was last sent to the player."""
        self._inside = False
        self._ended = False
        self._aspect = 4 / 3
        self._input: Input = "camera"
        self._fault_budget: Final = FaultBudget(time.monotonic())
        self._messages: Final = Allowance(MESSAGES_PER_S, time.monotonic(), MESSAGES_PER_S)
        self._answered_s = 0.0
        self._behind = False
        self._newest: Final[dict[str, bytes]] = {}
        self._deadline: asyncio.TimerHandle | None = None

    # --- events of the socket

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Admit the socket after its handshake, and wait for its hello."""
        self._transport = transport
        try:
            self._room.concurrency.enter(self._network)
        except GatewayError as error:
            self.cut(error)
            return
        self._inside = True
        self._room.metrics.sockets(len(self._room.concurrency))
        late = GatewayError(Refusal.NO_HELLO, "no hello came in time")
        self._deadline = asyncio.get_running_loop().call_later(self._room.settings.hello_s, self.cut, late)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Act on a message, or refuse it."""
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
        """Clean up after the socket, however it ended."""
        handshake = transport.close_handshake  # None if the connection was just lost
        sent = handshake.sent if handshake else None
        if not self._ended and sent and sent.code == WSCloseCode.MESSAGE_TOO_BIG:
            # picows has cut it off before we saw the message
            self._room.metrics.refused(Refusal.TOO_LARGE)
        self._ended = True
        if self._deadline is not None:
            self._deadline.cancel()
        if self._inside:
            self._inside = False
            self._room.concurrency.leave(self._network)
            self._room.metrics.sockets(len(self._room.concurrency))
        session = self._session
        if self._walk is not None:
            self._walk.leave()
        if session is not None and self._room.sessions.leave(session, self):
            self._room.begin(self._room.fan.leave(session.id))

    def pause_writing(self) -> None:
        """Keep only the newest message of each kind, because the browser does not keep up."""
        self._behind = True

    def resume_writing(self) -> None:
        """Send what was kept, because the browser has caught up."""
        self._behind = False
        newest = list(self._newest.values())
        self._newest.clear()
        for raw in newest:
            self._write(raw)

    # --- called by the game

    def receive(self, raw: bytes, answer: Answer) -> None:
        """See `gateway.sessions.Listener`: pass the reply on unchanged."""
        session, walk = self._session, self._walk
        if session is None:
            return
        waited_s = session.waited_s(answer["seq"])
        self._room.metrics.replied(waited_s)
        self._send("reply", raw)
        move = answer.get("move")
        if move is not None and walk is not None:
            walk.step(move, self._input)
        if waited_s is not None:
            self._time(waited_s)
        if self._mapping is not self._room.mapping.actions:
            self._send("actions", encoded("actions", actions=self._actions()))

    def refuse(self, error: GatewayError) -> None:
        """Count the fault, answer it, and cut off a client with too many of them."""
        self._room.metrics.refused(error.refusal)
        if error.refusal in _NOT_THEIR_FAULT:
            weight = 0.0
        else:
            weight = 1.0 if error.refusal is Refusal.TOO_FAST else GARBAGE_WEIGHT
        if self._session is None or error.refusal is Refusal.TOO_LARGE:
            self._end(error)
            return
        now_s = time.monotonic()
        if self._fault_budget.ends(weight, now_s):
            self.cut(GatewayError(Refusal.FLOOD, f"cut off: too much that was refused, last {error}"))
        elif now_s - self._answered_s > FAULT_ANSWER_S:
            self._answered_s = now_s
            self._send("refused", encoded("refused", reason=error.reason, detail=str(error)))

    def cut(self, error: GatewayError) -> None:
        """Close the socket with this error."""
        self._room.metrics.refused(error.refusal)
        self._end(error)

    # --- internals

    def _take(self, kind: WSMsgType, frame: WSFrame) -> None:
        """Dispatch one message by its kind."""
        if frame.payload_size > messages.MAX_MESSAGE_BYTES:
            raise GatewayError(Refusal.TOO_LARGE, f"a message has at most {messages.MAX_MESSAGE_BYTES} bytes")
        if not frame.fin or kind is WSMsgType.CONTINUATION:
            raise GatewayError(Refusal.BAD_FRAME, "a message must not be fragmented")
        raw = frame.get_payload_as_bytes()
        if self._session is not None and kind is WSMsgType.BINARY:
            self._session.send(messages.unpack_frame(raw), self._room.outbox)
        elif self._session is not None and self._walk is not None:
            self._answer(self._session, self._walk, raw)
        elif self._greeting:
            raise GatewayError(Refusal.NO_HELLO, "wait for the welcome before you send more")
        elif kind is WSMsgType.BINARY:
            raise GatewayError(Refusal.NO_HELLO, "the first message must be a hello, as text")
        else:
            hello = messages.read_hello(raw)
            self._greeting = True
            self._room.begin(self._greet(hello))

    async def _greet(self, hello: Hello) -> None:
        """Find or make the session, subscribe to its replies, and send the welcome."""
        room, session = self._room, None
        try:
            claim = self._claim(hello)
            session = room.sessions.open(claim.session, claim.name)
            await room.fan.listen(session.id, room.releases.following(session.receive))
            if hello.token and session.game is None:
                session.game = await room.saved.load(session.id)
        except GatewayError as error:
            if session is not None:
                room.sessions.drop(session)
            self.cut(error)
            return
        if self._ended:
            room.sessions.drop(session)
            if session.socket is None:
                await room.fan.leave(session.id)
            return
        if session.socket is not None:
            session.socket.cut(GatewayError(Refusal.REPLACED, "the game continues in another window"))
        if hello.token:
            room.metrics.resumed()
        if self._deadline is not None:
            self._deadline.cancel()
        session.socket, self._session, session.name = self, session, claim.name
        self._settings = session.settings = hello.settings
        self._walk = Walk(room, session, self._send, self.refuse)
        self._aspect = hello.width / hello.height
        self._send("welcome", self._welcome(session, room.tokens.issue(claim)))

    def _claim(self, hello: Hello) -> Claim:
        if hello.token is None:
            return Claim(session=new_session(), name=messages.clean_name(hello.name), bearer=self._bearer)
        claim = self._room.tokens.check(hello.token, self._bearer)
        # the player changed the name while the connection was lost
        return claim.model_copy(update={"name": messages.clean_name(hello.name)}) if hello.name else claim

    def _welcome(self, session: Session, token: str) -> bytes:
        game = session.game
        return encoded(
            "welcome",
            session=session.id,
            token=token,
            name=session.name,
            seq=session.begin_seq(),
            fps=self._room.settings.fps,
            actions=self._actions(),
            game=game.picture(time.monotonic()) if game else None,
        )

    def _actions(self) -> dict[str, Action]:
        self._mapping = self._room.mapping.actions  # a new object whenever it changes
        own = None if self._settings is None else self._settings.actions
        return self._mapping if own is None else own

    def _answer(self, session: Session, walk: Walk, raw: bytes) -> None:
        """Act on a text message of a player who has been welcomed."""
        message = messages.read_message(raw)
        now_s = time.monotonic()
        if not isinstance(message, TextFrame) and not self._messages.take(now_s):
            raise GatewayError(Refusal.TOO_FAST, "too many messages per second")
        match message:
            case Start(size=size, seed=seed):
                if not self._room.starts.take(self._network, now_s):
                    raise GatewayError(Refusal.TOO_FAST, "too many mazes were started from your network")
                walk.start(size, seed)
            case Key(move=move):
                walk.step(move, "keyboard")
            case Shown(input=shown):
                self._input = shown
            case Pause(on=on):
                walk.paused = on
            case Name(name=name):
                self._rename(session, walk, messages.clean_name(name))
            case RaceEntry() as entry:
                self._room.begin(walk.enter(entry))
            case Go():
                self._room.begin(walk.go())
            case frame:
                session.send(messages.pack_text(frame, self._aspect), self._room.outbox)

    def _rename(self, session: Session, walk: Walk, name: str) -> None:
        """Give the player another name, and a token that keeps it."""
        session.name = name
        token = self._room.tokens.issue(Claim(session=session.id, name=name, bearer=self._bearer))
        self._send("named", encoded("named", name=name, token=token))
        walk.renamed()

    def _time(self, waited_s: float) -> None:
        """Record how long a frame took, and send the browser the median from time to time."""
        self._waits_s.append(waited_s)
        now_s = time.monotonic()
        if now_s - self._timed_s < TIMING_S:
            return
        self._timed_s = now_s
        middle_s = sorted(self._waits_s)[len(self._waits_s) // 2]
        self._waits_s.clear()
        self._send("timing", encoded("timing", gateway_ms=round(middle_s * 1000, 1)))

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
        self._write(encoded("refused", reason=error.reason, detail=str(error)))
        self._ended = True
        code: Any = CLOSE_CODES.get(error.refusal, BAD_REQUEST)  # picows has no names for our own codes
        self._transport.send_close(code, error.reason.encode())
        asyncio.get_running_loop().call_later(LINGER_S, self._transport.disconnect)


_NOT_THEIR_FAULT: Final = frozenset({Refusal.BUSY, Refusal.UNAVAILABLE})
