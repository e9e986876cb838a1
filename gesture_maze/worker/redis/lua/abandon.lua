-- Give a lease up without a clean end: this worker makes no progress, and what it read may be the cause.
--
-- KEYS  1 lease:{p}   ARGV  1 our token
-- returns 1, or 0 where it was not ours any more
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
