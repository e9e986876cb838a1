"""The game and its command."""
