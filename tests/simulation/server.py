"""fakeredis with less work per command, because a world of the simulation sends hundreds of commands.

fakeredis makes an interpreter per server, compiles a script at each call, looks for new globals at each
command of it, and resolves, checks and converts every command from scratch. Here all servers of a process
share one interpreter and the compiled scripts, and what depends on the name and number of words of a command
is computed once. The commands themselves are fakeredis's.
"""

from __future__ import annotations

import queue
from functools import cache
from typing import Any, Final, NamedTuple

import fakeredis
from fakeredis import _msgs as msgs
from fakeredis._commands import SUPPORTED_COMMANDS, Key, Signature
from fakeredis._core import CommandItem
from fakeredis._helpers import SimpleError
from fakeredis._socket import FakeSocket
from fakeredis._socket._resp import convert_to_resp2
from fakeredis.commands_mixins import scripting_mixin

_FULL_TREATMENT: Final = frozenset(
    {"auth", "client", "command", "config", "discard", "exec", "hello", "info", "multi", "script", "watch"}
)
"""Commands about connections, transactions or the server, which fakeredis processes itself."""

_made: dict[str, Any] = {}
_compiled: dict[bytes, Any] = {}


class _Plan(NamedTuple):
    """How to apply a command with a certain number of words.

    Attributes:
        name: as in `network.WRITES`.
        function: name of fakeredis's method.
        absent: (index, reply) of each key without which the command has a fixed reply.
        decoders: (index, function) of each word that is not a key and not taken as it is.
        keys: (index, type of the value, whether it is made if it does not exist) of each key.
        removes_empty: whether an empty value is removed.
        converts: whether the reply is converted to RESP 2.
    """

    name: bytes
    function: str
    absent: tuple[tuple[int, Any], ...]
    decoders: tuple[tuple[int, Any], ...]
    keys: tuple[tuple[int, Any, bool], ...]
    removes_empty: bool
    converts: bool


@cache
def plan(command: str, words: int) -> _Plan:
    """Return the plan for a command with some number of words after its name.

    Raises:
        SimpleError: the command does not exist, or takes another number of words.
    """
    signature: Signature | None = SUPPORTED_COMMANDS.get(command)
    if signature is None:
        raise SimpleError(msgs.UNKNOWN_COMMAND_MSG.format(command))
    signature.check_arity([b""] * words, (7,))
    types = list(signature.fixed)
    types += [signature.repeat[number % len(signature.repeat)] for number in range(words - len(types))]
    keys = [(at, one) for at, one in enumerate(types) if isinstance(one, Key)]
    makes = msgs.FLAG_DO_NOT_CREATE not in signature.flags
    return _Plan(
        signature.name.upper().encode(),
        signature.func_name,
        tuple((at, key.missing_return) for at, key in keys if key.missing_return is not Key.UNSPECIFIED),
        tuple(
            (at, one.decode) for at, one in enumerate(types) if not isinstance(one, Key) and one is not bytes
        ),
        tuple((at, key.type_, makes and key.type_ not in (None, bytes)) for at, key in keys),
        msgs.FLAG_LEAVE_EMPTY_VAL not in signature.flags,
        msgs.FLAG_SKIP_CONVERT_TO_RESP2 not in signature.flags,
    )


@cache
def _lower(name: bytes) -> str:
    return name.decode().lower()


def new_server() -> fakeredis.FakeServer:
    """Return a server that does not look for waiting clients after each write."""
    server = fakeredis.FakeServer(version=(7,))
    # a world has neither clients that watch a key nor blocking commands
    server.dbs[0].notify_watch = lambda _key: None
    return server


class QuickSocket(FakeSocket):
    """A server's end of a connection, which runs commands without a lock, since a world has one thread."""

    _script_resp: int | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.responses = queue.SimpleQueue()  # type: ignore[assignment]

    def put_response(self, msg: Any) -> None:
        if self.responses is not None:
            self.responses.put(msg)

    def _process_command(self, fields: list[bytes]) -> None:
        name = _lower(fields[0])
        if name in _FULL_TREATMENT:
            super()._process_command(fields)
            return
        words = fields[1:]
        if name in scripting_mixin.COMMANDS_WITH_SUB:
            name += " " + _lower(words.pop(0))
        try:
            result = self.perform(plan(name, len(words)), words, from_script=False)
        except SimpleError as error:
            result = error
        self.put_response(self._decode_result(result))

    def perform(self, plan: _Plan, words: list[Any], *, from_script: bool) -> Any:
        """Run a command and return its reply.

        Raises:
            SimpleError: its words are wrong, or it fails.
        """
        database = self._db
        for at, reply in plan.absent:
            if words[at] not in database:
                return reply
        for at, decode in plan.decoders:
            words[at] = decode(words[at])
        items = []
        for at, type_, made in plan.keys:
            item = database.get(words[at])
            if type_ is not None and item is not None and type(item.value) is not type_:
                raise SimpleError(msgs.WRONGTYPE_MSG)
            words[at] = CommandItem(words[at], database, item, type_() if made and item is None else None)
            items.append(words[at])
        try:
            result = getattr(self, plan.function)(*words)
        finally:
            for item in items:
                item.writeback(remove_empty_val=plan.removes_empty)
        if plan.converts and self._resp_version == 2:
            return convert_to_resp2(result)
        return result

    def evalsha(self, sha1: bytes, numkeys: int, *keys_and_args: bytes) -> Any:
        """Run a script that the server knows."""
        server: Any = self._server
        script = server.script_cache.get(sha1)
        if script is None:
            raise SimpleError(msgs.NO_MATCHING_SCRIPT_MSG)
        runtime = _share_runtime(self, server)
        is_new = sha1 not in _compiled
        if is_new:
            _compiled[sha1] = runtime.compile(script)
        server._lua_current_socket[0] = self
        self._script_resp = 2
        server._lua_set_keys_argv(
            runtime.table_from(keys_and_args[:numkeys]), runtime.table_from(keys_and_args[numkeys:])
        )
        try:
            result = _compiled[sha1]()
        except scripting_mixin.LUA_MODULE.LuaError as error:
            raise SimpleError(msgs.SCRIPT_ERROR_MSG.format(sha1.decode(), error)) from None
        finally:
            self._script_resp = None
        if is_new:  # the contract tests look for globals at every call
            scripting_mixin._check_for_lua_globals(runtime, server._lua_expected_globals)
        return self._convert_lua_result(result, nested=False)

    def _lua_redis_call(self, lua_runtime: Any, expected_globals: set[Any], op: bytes, *args: Any) -> Any:
        words = [arg if type(arg) is bytes else scripting_mixin._convert_redis_arg(arg) for arg in args]
        name = _lower(op)
        if name in scripting_mixin.COMMANDS_WITH_SUB:
            name += " " + _lower(words.pop(0))
        result = self.perform(plan(name, len(words)), words, from_script=True)
        if type(result) is bytes or type(result) is int:
            return result
        return self._convert_redis_result(lua_runtime, result)


def _share_runtime(socket: FakeSocket, server: fakeredis.FakeServer) -> Any:
    """Return the interpreter, which is made for the first server of the process and lent to the others."""
    if not hasattr(server, "_lua_runtime"):
        if _made:
            vars(server).update(_made)
        else:
            socket._get_server_runtime(server)
            _made.update({name: value for name, value in vars(server).items() if name.startswith("_lua_")})
    return vars(server)["_lua_runtime"]
