"""Background tasks of the gateway, supervised: one that fails is logged and started again."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final

from gesture_maze.gateway.metrics import Metrics
from gesture_maze.worker.logs import Log

PAUSE_S: Final = 0.5
"""Pause before a task that failed is started again."""


async def supervised(name: str, work: Callable[[], Awaitable[None]], log: Log, metrics: Metrics) -> None:
    """Run `work` until cancelled. An exception is a bug: it is logged with its traceback and counted."""
    while True:
        try:
            await work()
        except Exception:  # noqa: BLE001 - the gateway must not go on without the task, whatever it is
            fault = traceback.format_exc()
        else:
            fault = "ended"
        metrics.failed(name)
        log.error("task_failed", task=name, traceback=fault)
        await asyncio.sleep(PAUSE_S)


def start(
    stack: AsyncExitStack, works: dict[str, Callable[[], Awaitable[None]]], log: Log, metrics: Metrics
) -> None:
    """Start each of `works` as a supervised task that ends with `stack`."""
    for name, work in works.items():
        task = asyncio.create_task(supervised(name, work, log, metrics), name=name)
        stack.push_async_callback(_end, task)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
