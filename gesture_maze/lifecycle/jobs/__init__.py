"""Background jobs that take minutes, run by RQ: training, evaluation, promotion, replay, redrive.

Frames are not processed by RQ, which forks for each job and keeps no order. Jobs use a different Redis
database than frames.
"""
