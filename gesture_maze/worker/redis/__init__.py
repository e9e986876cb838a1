"""Every Redis command and Lua script of the pool."""
