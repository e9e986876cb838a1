"""Whole pools in one thread, over the real Lua scripts, in simulated time: a seed replays a world."""
