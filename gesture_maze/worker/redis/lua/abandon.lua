-- Delete our lease because this worker makes no progress. The entries it read stay suspect, since they may be the cause.
--
-- KEYS  1 lease:{p}   2 suspect:{p}   ARGV  1 our token
-- returns 1, or 0 if it was no longer ours
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])
redis.pcall('HSET', KEYS[2], 'abandoned', '1') -- even if the next owner is this worker; see acquire.lua
return 1
