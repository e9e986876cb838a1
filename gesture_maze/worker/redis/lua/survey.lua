-- Return the standing of each partition, each at one instant. Changes nothing.
--
-- KEYS  frames:{p} ...   ARGV  1 group
-- returns for each { entries added, length, id of the first entry, last id of the stream, cursor, entries read },
--         or {} if the stream or its group does not exist
local found = {}
for i, key in ipairs(KEYS) do
  found[i] = {}
  local reply = redis.pcall('XINFO', 'STREAM', key)
  if not reply.err then
    local stream = pairs_of(reply)
    local first = stream['first-entry']
    for _, group in ipairs(redis.call('XINFO', 'GROUPS', key)) do
      local fields = pairs_of(group)
      if fields['name'] == ARGV[1] then
        found[i] = {
          stream['entries-added'], stream['length'], first and first[1] or stream['last-generated-id'],
          stream['last-generated-id'], fields['last-delivered-id'], fields['entries-read'] or 0,
        }
      end
    end
  end
end
return found
