-- Delete our lease because this worker makes no progress. The entries it read stay suspect, since they may be the cause.
--
-- KEYS  1 lease:{p}   ARGV  1 our token
-- returns 1, or 0 if it was no longer ours
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
