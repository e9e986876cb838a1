-- Release a partition in good order: all that was read is committed. Which entries were suspects stays known, see
-- acquire.lua.
--
-- KEYS  1 lease:{p}   2 suspect:{p}   ARGV  1 our token
-- returns 1, or 0 where it was not ours any more
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
local unsafe = redis.call('HGET', KEYS[2], 'unsafe') or ''
redis.call('DEL', KEYS[1], KEYS[2])
if unsafe ~= '' then
  redis.call('HSET', KEYS[2], 'unsafe', unsafe)
end
return 1
