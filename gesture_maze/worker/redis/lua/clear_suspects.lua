-- Delete the notes about suspects, which are all committed. Works when Redis is out of memory. The ranges of suspects
-- are kept, see acquire.lua.
--
-- KEYS  1 lease:{p}   2 suspect:{p}   ARGV  1 our token
-- returns 1, or 0 if the partition is no longer ours
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
local unsafe = redis.call('HGET', KEYS[2], 'unsafe') or ''
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], 'owner', ARGV[1], 'unsafe', unsafe)
return 1
