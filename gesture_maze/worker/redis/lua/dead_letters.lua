-- Return a page of dead letters, newest first, with all fields in order. redis-py's XREVRANGE would return a dict and
-- lose repeated names. Changes nothing.
--
-- KEYS  1 dead:{p}   ARGV  1 from this id   2 down to this id   3 how many at most
-- returns { { id, { name, value, ... } }, ... }
return redis.call('XREVRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', ARGV[3])
