-- Register a worker as live, remove dead workers, and return the owner of each partition.
--
-- KEYS  1 {maze}:workers   2 {maze}:workers:info   3 {maze}:topology   4.. lease:{p} of every partition; none on a
--       cluster, where leases are in other slots
-- ARGV  1 worker id   2 its info, JSON ('' = it is leaving)   3 ms after which a silent worker is dead
--       4 version of the wire   5 partitions
--
-- The topology's field `compact` is set to 1 while the info of every live worker says that its models do not use z.
-- returns { server time in ms, { topology version, partitions }, { live workers }, { lease or '' ... } }
local now = now_ms()

-- Removing comes first: it needs no memory, and after it Redis allows the writes below even when out of memory.
-- A heartbeat in the future was written before the clock was set back. A live worker registers again.
--
-- A worker whose leases last longer than ours also sends its heartbeats less often, so it is dead after its own time,
-- which its info states. For at most ten minutes, because anything may stand there.
--
-- If our own last heartbeat counts as dead, the clock was set, or Redis was away for longer than a lease. Those of the
-- other live workers then count as dead too, and the first worker to return would acquire all partitions, only to hand
-- most of them back. So all of these workers stay on the roster for half the time of a lease, in which a live one
-- registers again twice. No longer, because our own heartbeat may also be late while another worker has died.
for _, range in ipairs({ { '-inf', string.format('(%.0f', now - tonumber(ARGV[3])) },
                         { string.format('(%.0f', now), '+inf' } }) do
  local silent = redis.call('ZRANGEBYSCORE', KEYS[1], range[1], range[2], 'WITHSCORES', 'LIMIT', 0, 1000)
  local dead, with_ours = {}, false
  for at = 1, #silent, 2 do
    local worker, heartbeat = silent[at], tonumber(silent[at + 1]) or 0
    local info = worker ~= ARGV[1] and redis.call('HGET', KEYS[2], worker)
    local ttl = tonumber(info and string.match(info, '"lease_ttl_ms": (%d+)')) or 0
    if heartbeat > now or now - heartbeat > math.min(ttl, 600000) then
      dead[#dead + 1] = worker
      with_ours = with_ours or worker == ARGV[1]
    end
  end
  redis.call('ZREM', KEYS[1], '', unpack(dead)) -- with '', which is no worker, it is a write even if none is dead
  if with_ours and ARGV[2] ~= '' then
    for _, worker in ipairs(dead) do
      redis.call('ZADD', KEYS[1], string.format('%.0f', now - tonumber(ARGV[3]) / 2), worker)
    end
  elseif #dead > 0 then
    redis.call('HDEL', KEYS[2], unpack(dead))
  end
end
if ARGV[2] == '' then
  redis.call('ZREM', KEYS[1], ARGV[1])
  redis.call('HDEL', KEYS[2], ARGV[1])
else
  redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
  redis.call('HSETNX', KEYS[3], 'version', ARGV[4])
  redis.call('HSETNX', KEYS[3], 'partitions', ARGV[5])
end

local live = redis.call('ZRANGE', KEYS[1], 0, -1)
if ARGV[2] ~= '' then
  local compact = '1'
  for _, info in ipairs(redis.call('HMGET', KEYS[2], unpack(live, 1, math.min(#live, 1000)))) do
    if not info or not string.find(info, '"compact": true', 1, true) then
      compact = '0'
    end
  end
  if (redis.call('HGET', KEYS[3], 'compact') or '0') ~= compact then
    -- an access list from before this field lacks the right: producers then send full landmarks
    redis.pcall('HSET', KEYS[3], 'compact', compact)
  end
end

local owners = KEYS[4] and redis.call('MGET', unpack(KEYS, 4)) or {}
for i, owner in ipairs(owners) do
  owners[i] = owner or ''
end
return {
  now,
  redis.call('HMGET', KEYS[3], 'version', 'partitions'),
  live,
  owners,
}
