-- Renew leases that are still ours. Uses PEXPIRE, which works when Redis is out of memory; SET does not.
--
-- KEYS  lease:{p} ...   ARGV  1 time to live, ms   2.. our token for each key
-- returns 1 (renewed) or 0 (lost) for each key
local renewed = {}
local holders = redis.call('MGET', unpack(KEYS))
for i, key in ipairs(KEYS) do
  renewed[i] = 0
  if holders[i] == ARGV[i + 1] then
    renewed[i] = redis.call('PEXPIRE', key, ARGV[1])
  end
end
return renewed
