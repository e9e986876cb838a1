"""The ground floor: what crosses Redis. Pure functions and values; imports nothing of ours."""

__version__ = "0.1.0"
