"""`maze demo`: a pool and players who walk mazes by gestures."""
