-- Give a model a role, atomically: store its bundle, set the role, delete old bundles and wake the workers.
--
-- KEYS  1 {maze}:model   2 {maze}:models   3 {maze}:model:<version>
-- ARGV  1 version   2 its bundle ('' = already stored)   3 champion or challenger
--       4 share of the frames that a challenger classifies   5 bundles to keep
--       6 version that answers now if no champion is named ('' = unknown)   7 channel to wake
-- returns 'OK', or 'MISSING' (no such bundle, and nothing was changed)
--
-- The bundle is stored first: if Redis is out of memory, that fails and nothing else is changed.
if ARGV[2] ~= '' then
  redis.call('SET', KEYS[3], ARGV[2])
elseif redis.call('EXISTS', KEYS[3]) == 0 then
  return 'MISSING'
end
local time = redis.call('TIME')
local now_ms = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
redis.call('ZADD', KEYS[2], now_ms, ARGV[1])

if ARGV[3] == 'champion' then
  local old = redis.call('HGET', KEYS[1], 'champion') or ARGV[6]
  if old ~= '' and old ~= ARGV[1] then
    redis.call('HSET', KEYS[1], 'previous', old)
  end
  redis.call('HSET', KEYS[1], 'champion', ARGV[1], 'promoted_ms', now_ms)
  if redis.call('HGET', KEYS[1], 'challenger') == ARGV[1] then
    redis.call('HDEL', KEYS[1], 'challenger', 'share', 'challenged_ms')
  end
else
  redis.call('HSET', KEYS[1], 'challenger', ARGV[1], 'share', ARGV[4], 'challenged_ms', now_ms)
end

-- Delete the oldest bundles beyond the limit, except those with a role. Their keys depend on the index, so they cannot
-- be among KEYS.
local in_use = {}
for _, role in ipairs({'champion', 'previous', 'challenger'}) do
  local version = redis.call('HGET', KEYS[1], role)
  if version then
    in_use[version] = true
  end
end
for rank, version in ipairs(redis.call('ZREVRANGE', KEYS[2], 0, -1)) do
  if rank > tonumber(ARGV[5]) and not in_use[version] then
    redis.call('DEL', KEYS[1] .. ':' .. version)
    redis.call('ZREM', KEYS[2], version)
  end
end
redis.call('PUBLISH', ARGV[7], 'model')
return 'OK'
