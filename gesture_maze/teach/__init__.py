"""Own gestures: recorded takes, the model trained on them, and the page for both."""
