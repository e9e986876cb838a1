-- Delete the lease of a dead worker, so that its partition is free before the lease expires.
--
-- KEYS  1 lease:{p}   ARGV  1 id of the dead worker   2 delete only a lease that lasts longer than this, ms
-- returns 1 if it was deleted, else 0
local holder = redis.call('GET', KEYS[1])
local prefix = ARGV[1] .. ':'
if not holder or string.sub(holder, 1, #prefix) ~= prefix then
  return 0
end
local left = redis.call('PTTL', KEYS[1])
if left >= 0 and left <= tonumber(ARGV[2]) then
  return 0
end
return redis.call('DEL', KEYS[1])
