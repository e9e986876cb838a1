"""The data that passes through Redis: frames, replies, gestures, keys, partitions. Pure; imports no other
room."""
