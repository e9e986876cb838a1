"""Teaching gestures: takes of one's own, a grown model, and the page that does both."""
