-- Where partitions stand, each at one instant.
--
-- KEYS  frames:{p} ...   ARGV  1 group
-- returns for each { entries added, length, last id of the stream, cursor, entries read }, or {} where it is gone
local function pairs_of(reply)
  local map = {}
  for i = 1, #reply, 2 do
    map[reply[i]] = reply[i + 1]
  end
  return map
end

local found = {}
for i, key in ipairs(KEYS) do
  found[i] = {}
  local reply = redis.pcall('XINFO', 'STREAM', key)
  if not reply.err then
    local stream = pairs_of(reply)
    for _, group in ipairs(redis.call('XINFO', 'GROUPS', key)) do
      local fields = pairs_of(group)
      if fields['name'] == ARGV[1] then
        found[i] = {
          stream['entries-added'], stream['length'], stream['last-generated-id'],
          fields['last-delivered-id'], fields['entries-read'] or 0,
        }
      end
    end
  end
end
return found
