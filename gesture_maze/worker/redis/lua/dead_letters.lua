-- A page of dead letters, newest first, as Redis keeps them: redis-py would make a dict of an entry's fields and
-- lose names that occur twice. Changes nothing.
--
-- KEYS  1 dead:{p}   ARGV  1 from this id   2 down to this id   3 how many at most
-- returns { { id, { name, value, ... } }, ... }
return redis.call('XREVRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', ARGV[3])
