"""The worker's Redis commands on a cluster, behind the interfaces of those for a single Redis.

Scripts touch keys of one slot. What concerns several partitions is sent per node. A node that is away, or a
slot that is moving, concerns its partitions only: they are acquired again under a new epoch.
"""
