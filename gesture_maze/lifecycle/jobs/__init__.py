"""Work that takes minutes, done in the background by RQ: training, judging, promoting, replaying, redriving.

Not for frames: RQ forks for each job and keeps no order. Its Redis database is another one than the frames'.
"""
