"""Teach gestures of the user's own: recorded takes, the model trained on them, and the page for both."""
