"""Synthetic hands and players, for tests, demos and load."""
