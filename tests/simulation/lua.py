"""The Lua scripts in fakeredis, compiled once per process.

fakeredis makes an interpreter per server, compiles a script at each call, collects garbage after it, and
looks for new globals at each command of it. Here all servers of a process share one interpreter and the
compiled scripts, and new globals are looked for once per script.
"""

from __future__ import annotations

from typing import Any

import fakeredis
from fakeredis import _msgs as msgs
from fakeredis._helpers import SimpleError
from fakeredis._socket import FakeSocket
from fakeredis.commands_mixins import scripting_mixin

_made: dict[str, Any] = {}
_compiled: dict[bytes, Any] = {}


class ScriptingSocket(FakeSocket):
    """A server's end of a connection that runs compiled scripts."""

    _script_resp: int | None

    def evalsha(self, sha1: bytes, numkeys: int, *keys_and_args: bytes) -> Any:
        """Run a script that the server knows."""
        server: Any = self._server
        script = server.script_cache.get(sha1)
        if script is None:
            raise SimpleError(msgs.NO_MATCHING_SCRIPT_MSG)
        runtime = _share_runtime(self, server)
        if sha1 not in _compiled:
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
        scripting_mixin._check_for_lua_globals(runtime, server._lua_expected_globals)
        return self._convert_lua_result(result, nested=False)

    def _lua_redis_call(self, lua_runtime: Any, expected_globals: set[Any], op: bytes, *args: Any) -> Any:
        words = [scripting_mixin._convert_redis_arg(arg) for arg in args]
        name = op.decode().lower()
        if name in scripting_mixin.COMMANDS_WITH_SUB:
            name += " " + words.pop(0).decode().lower()
        func, sig = self._name_to_func(name)
        return self._convert_redis_result(lua_runtime, self._run_command(func, sig, words, True))


def _share_runtime(socket: FakeSocket, server: fakeredis.FakeServer) -> Any:
    """Return the interpreter, which is made for the first server of the process and lent to the others."""
    if not hasattr(server, "_lua_runtime"):
        if _made:
            vars(server).update(_made)
        else:
            socket._get_server_runtime(server)
            _made.update({name: value for name, value in vars(server).items() if name.startswith("_lua_")})
    return vars(server)["_lua_runtime"]
