"""Mazes and their rules. Pure; time is passed in."""
