-- Take a partition that is free (or already mine: then the new epoch fences my own late commits).
--
-- KEYS  1 lease:{p}   2 epoch:{p}   3 suspect:{p}   4 frames:{p}
-- ARGV  1 worker id   2 time to live, ms   3 group   4 cursor to begin at where the group is gone
-- returns nil where another holds it, else
--         { token, cursor, entries read, id up to which entries may have killed the last owner or '' }
local holder = redis.call('GET', KEYS[1])
local prefix = ARGV[1] .. ':'
if holder and string.sub(holder, 1, #prefix) ~= prefix then
  return false
end

-- This changes nothing, but after a write that needs no memory the script may go on when there is none left.
redis.call('PEXPIRE', KEYS[1], ARGV[2])

-- The epoch only grows, over a loss of all keys too, because it is never below the server's time.
local time = redis.call('TIME')
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local epoch = math.max(tonumber(redis.call('GET', KEYS[2]) or '0') + 1, now_ms)
local token = prefix .. string.format('%.0f', epoch)
redis.call('SET', KEYS[2], string.format('%.0f', epoch))
redis.call('SET', KEYS[1], token, 'PX', ARGV[2])

local function pairs_of(reply)
  local map = {}
  for i = 1, #reply, 2 do
    map[reply[i]] = reply[i + 1]
  end
  return map
end

local cursor, entries_read
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[4])
if not groups.err then
  for _, group in ipairs(groups) do
    local fields = pairs_of(group)
    if fields['name'] == ARGV[3] then
      cursor = fields['last-delivered-id']
      entries_read = fields['entries-read'] or 0
    end
  end
end
if not cursor then
  cursor, entries_read = ARGV[4], 0
  redis.call('XGROUP', 'CREATE', KEYS[4], ARGV[3], cursor, 'MKSTREAM', 'ENTRIESREAD', 0)
end

-- The key is there until an owner lets go in good order: an owner that died leaves suspects behind.
local suspect_until = ''
if not holder and redis.call('EXISTS', KEYS[3]) == 1 then
  suspect_until = pairs_of(redis.call('XINFO', 'STREAM', KEYS[4]))['last-generated-id']
  local tried = redis.call('HGET', KEYS[3], 'trying')
  if tried then
    redis.call('HINCRBY', KEYS[3], 'died:' .. tried, 1)
    redis.call('HDEL', KEYS[3], 'trying')
  end
end
redis.call('HSET', KEYS[3], 'owner', token)
return { token, cursor, entries_read, suspect_until }
