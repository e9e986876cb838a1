"""What crosses Redis: frames, replies, gestures, keys, partitions. Pure; imports nothing of ours."""
