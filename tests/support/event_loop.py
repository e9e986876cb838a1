"""Runs single passes of the event loop, for tests of the order of events."""

from __future__ import annotations

import asyncio


async def next_pass() -> None:
    """Let the event loop run every task that is ready, once; no time passes."""
    await asyncio.sleep(0)
