"""Captures through the worker's own loop, compared with golden answers."""
