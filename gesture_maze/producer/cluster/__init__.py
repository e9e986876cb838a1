"""Redis and Valkey Cluster: which node serves a key, and clients that go there.

redis-py's own cluster client fails a whole pipeline if one node is away, connects when it is built, and reads
sharded channels node by node. Here a node that is away affects its own keys only. redis-py still opens the
connections and parses the answers.
"""
