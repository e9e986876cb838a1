"""redis-py's client with less work per command: without retries, metrics of its own and locks."""

from __future__ import annotations

from typing import Any

import fakeredis


class QuickConnection(fakeredis.FakeRedisConnection):
    """A client's end of a connection."""

    def is_open(self) -> bool:
        """Return whether it is connected, and no answer is left over from an earlier command."""
        socket = self._sock
        return socket is not None and not (socket.responses is None or socket.responses.qsize())


class QuickClient(fakeredis.FakeRedis):
    """A client whose commands take one of its idle connections, or open another one."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        pool: Any = self.connection_pool
        idle = pool._available_connections
        if not idle or not idle[-1].is_open():
            return super().execute_command(*args, **options)
        connection = idle.pop()
        pool._in_use_connections.add(connection)
        try:
            connection.send_command(*args, check_health=False)
            return self.parse_response(connection, args[0], **options)
        finally:
            pool._in_use_connections.discard(connection)
            idle.append(connection)
