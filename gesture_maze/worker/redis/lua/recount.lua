-- Count the entries of a partition from its stream again, if more are counted than were ever added to it: its stream was
-- deleted, and what replaced it counts from zero. Only while every entry is committed. The lease is deleted: its owner
-- goes on with the old count, and acquires the partition again.
--
-- KEYS  1 lease:{p}   2 suspect:{p}   3 frames:{p}   4 outcomes:{p}   ARGV  1 group
-- returns 'OK' (nothing to do), 'UNREAD' (entries are not committed yet; nothing was changed) or 'MENDED'
if redis.call('EXISTS', KEYS[3]) == 0 then
  return 'OK'
end
local stream = pairs_of(redis.call('XINFO', 'STREAM', KEYS[3]))
local added = tonumber(stream['entries-added'])
local trimmed = tonumber(redis.call('HGET', KEYS[4], 'trimmed') or '0') or 0
local counted = (tonumber(redis.call('HGET', KEYS[4], 'entries') or '0') or 0) + trimmed
local cursor, entries_read
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[3])) do
  local fields = pairs_of(group)
  if fields['name'] == ARGV[1] then
    cursor, entries_read = fields['last-delivered-id'], tonumber(fields['entries-read'] or 0)
  end
end
if not cursor or math.max(counted, entries_read) <= added then
  return 'OK'
end
if cursor ~= stream['last-generated-id'] then
  return 'UNREAD'
end
redis.call('DEL', KEYS[1])
redis.call('HDEL', KEYS[2], 'owner', 'from', 'trying')
redis.call('XGROUP', 'SETID', KEYS[3], ARGV[1], cursor, 'ENTRIESREAD', added)
redis.call('HSET', KEYS[4], 'entries', added, 'trimmed', 0)
return 'MENDED'
