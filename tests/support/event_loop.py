"""Passes of the event loop, for tests of what happens in which of them."""

from __future__ import annotations

import asyncio


async def next_pass() -> None:
    """Let the event loop run every task that is ready, once; no time passes."""
    await asyncio.sleep(0)
