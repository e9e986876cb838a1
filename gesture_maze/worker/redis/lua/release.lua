-- Release a partition after everything that was read is committed. The ranges of suspects are kept, and the deaths
-- of those that are not committed yet, see acquire.lua.
--
-- KEYS  1 lease:{p}   2 suspect:{p}   ARGV  1 our token
-- returns 1, or 0 if it was no longer ours
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('HDEL', KEYS[2], 'owner', 'from', 'trying')
if (redis.call('HGET', KEYS[2], 'unsafe') or '') == '' then
  redis.call('DEL', KEYS[2])
end
return 1
