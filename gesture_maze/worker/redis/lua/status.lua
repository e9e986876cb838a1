-- Return the state of one partition at one instant. Changes nothing.
--
-- KEYS  1 frames:{p}   2 lease:{p}   3 epoch:{p}   4 outcomes:{p}   5 dead:{p}   ARGV  1 group
-- returns { lease or '', epoch or '', time to live of the lease in ms, dead letters, { outcome, count, ... },
--           entries added, length, last id of the stream, cursor, entries read, id of the oldest waiting entry or '' }
--         the last six are missing if there is no stream, the last three if it has no group
local found = {
  redis.call('GET', KEYS[2]) or '',
  redis.call('GET', KEYS[3]) or '',
  redis.call('PTTL', KEYS[2]),
  redis.call('XLEN', KEYS[5]),
  redis.call('HGETALL', KEYS[4]),
}
if redis.call('EXISTS', KEYS[1]) == 0 then
  return found
end
local stream = pairs_of(redis.call('XINFO', 'STREAM', KEYS[1]))
found[6], found[7], found[8] = stream['entries-added'], stream['length'], stream['last-generated-id']
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local fields = pairs_of(group)
  if fields['name'] == ARGV[1] then
    found[9], found[10] = fields['last-delivered-id'], fields['entries-read'] or 0
    -- an error when the cursor is the largest id of all: nothing can wait behind it
    local oldest = redis.pcall('XRANGE', KEYS[1], '(' .. found[9], '+', 'COUNT', 1)[1]
    found[11] = oldest and oldest[1] or ''
  end
end
return found
