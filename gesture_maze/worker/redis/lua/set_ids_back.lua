-- Begin the stream of a partition again at the server's time, if its ids are ahead of it and every entry is committed.
-- The counts of entries stay, so that all frames remain accounted for. The lease is deleted: its owner has a position
-- that is ahead too, and acquires the partition again.
--
-- KEYS  1 lease:{p}   2 suspect:{p}   3 frames:{p}   ARGV  1 group   2 ms ahead that are not mended
-- returns 'OK' (not ahead), 'UNREAD' (entries are not committed yet; nothing was changed) or 'MENDED'
if redis.call('EXISTS', KEYS[3]) == 0 then
  return 'OK'
end
local stream = pairs_of(redis.call('XINFO', 'STREAM', KEYS[3]))
local now = now_ms()
if tonumber(string.match(stream['last-generated-id'], '^%d+')) <= now + tonumber(ARGV[2]) then
  return 'OK'
end
local entries_read
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[3])) do
  local fields = pairs_of(group)
  if fields['name'] == ARGV[1] and fields['last-delivered-id'] == stream['last-generated-id'] then
    entries_read = fields['entries-read']
  end
end
if not entries_read then
  return 'UNREAD'
end
local id = string.format('%.0f-0', now)
redis.call('DEL', KEYS[1], KEYS[3])
redis.call('HDEL', KEYS[2], 'owner', 'from', 'trying')
redis.call('XGROUP', 'CREATE', KEYS[3], ARGV[1], id, 'MKSTREAM', 'ENTRIESREAD', entries_read)
redis.call('XSETID', KEYS[3], id, 'ENTRIESADDED', stream['entries-added'], 'MAXDELETEDID', '0-0')
return 'MENDED'
