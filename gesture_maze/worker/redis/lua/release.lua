-- Release a partition after everything that was read is committed. The ranges of suspects are kept, see acquire.lua.
--
-- KEYS  1 lease:{p}   2 suspect:{p}   ARGV  1 our token
-- returns 1, or 0 if it was no longer ours
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
local unsafe = redis.call('HGET', KEYS[2], 'unsafe') or ''
redis.call('DEL', KEYS[1], KEYS[2])
if unsafe ~= '' then
  redis.call('HSET', KEYS[2], 'unsafe', unsafe)
end
return 1
