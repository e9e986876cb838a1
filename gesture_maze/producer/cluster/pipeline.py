"""Pipelines and transactions on a cluster. Blocking."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from redis import exceptions
from redis.client import Pipeline

from gesture_maze.producer.cluster.client import REDIRECTS, TRY_AGAIN_S, ClusterRedis, Command
from gesture_maze.producer.cluster.slots import Address, slot_of_command


class ClusterPipeline(Pipeline):
    """Commands that are sent together, per node in one round trip.

    Args:
        cluster: the client.
        transaction: whether all of them run or none (MULTI, EXEC); all keys must be in one slot.
    """

    def __init__(self, cluster: ClusterRedis, transaction: bool) -> None:
        super().__init__(cluster.connection_pool, cluster.response_callbacks, transaction, None)
        self._cluster: Final = cluster
        self._atomic: Final = transaction

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Run the commands and return an answer for each.

        Args:
            raise_on_error: raise the first error among the answers instead of returning it.
        """
        commands: list[Command] = list(self.command_stack)
        texts = {script.sha: script.script for script in self.scripts}
        self.reset()
        if not commands:
            return []
        if self._atomic:
            return self._run_atomically(commands, raise_on_error)
        answers = self._cluster.run(commands)
        unknown = [at for at, one in enumerate(answers) if isinstance(one, exceptions.NoScriptError)]
        if unknown:
            self._load(texts_of([commands[at] for at in unknown], texts))
            again = self._cluster.run([commands[at] for at in unknown])
            for at, answer in zip(unknown, again, strict=True):
                answers[at] = answer
        if raise_on_error:
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
        return answers

    def _load(self, texts: Sequence[Any]) -> None:
        """Load scripts on the primaries. Failures show in the commands that run them."""
        for text in texts:
            with suppress(exceptions.RedisError):
                self._cluster.execute_command("SCRIPT LOAD", text)

    def _run_atomically(self, commands: list[Command], raise_on_error: bool) -> list[Any]:
        slot = slot_of_command(commands[0][0])
        for tried in range(REDIRECTS):
            node = self._cluster.node(self._cluster.primary(slot))
            with node.pipeline(transaction=True) as pipe:
                for words, options in commands:
                    pipe.execute_command(*words, **options)
                try:
                    found: list[Any] = pipe.execute(raise_on_error)
                except (exceptions.MovedError, exceptions.AskError, exceptions.ExecAbortError) as error:
                    if tried == REDIRECTS - 1:
                        raise
                    time.sleep(TRY_AGAIN_S)
                    if isinstance(error, exceptions.MovedError):
                        self._cluster.learn(slot, Address(error.host, error.port))
                    else:
                        self._cluster.refresh()
                else:
                    return found
        raise AssertionError("unreachable")


def texts_of(commands: Sequence[Command], texts: Mapping[str, Any]) -> list[Any]:
    """Return the scripts that commands run, each once.

    A node that became a primary knows none of them. They are loaded, because the roles may not use EVAL.

    Args:
        commands: some of them are EVALSHA.
        texts: the known scripts by their hash.
    """
    return [texts[sha] for sha in dict.fromkeys(words[1] for words, _ in commands) if sha in texts]
