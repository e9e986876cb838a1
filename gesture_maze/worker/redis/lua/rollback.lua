-- Swap the champion and the previous model.
--
-- KEYS  1 {maze}:model   2 {maze}:models   ARGV  1 channel to wake
-- returns { 'OK', new champion, new previous }, { 'NONE' } or { 'MISSING', previous }; the last two changed nothing
local champion = redis.call('HGET', KEYS[1], 'champion') or ''
local previous = redis.call('HGET', KEYS[1], 'previous')
if not previous or previous == '' then
  return { 'NONE' }
end
-- the key depends on a value in the hash, so it cannot be among KEYS
if redis.call('EXISTS', KEYS[1] .. ':' .. previous) == 0 then
  return { 'MISSING', previous }
end
local time = redis.call('TIME')
local now_ms = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
redis.call('HSET', KEYS[1], 'champion', previous, 'previous', champion, 'promoted_ms', now_ms)
redis.call('ZADD', KEYS[2], now_ms, previous)
if redis.call('HGET', KEYS[1], 'challenger') == previous then
  redis.call('HDEL', KEYS[1], 'challenger', 'share', 'challenged_ms')
end
redis.call('PUBLISH', ARGV[1], 'model')
return { 'OK', previous, champion }
