-- Acquire a partition that is free, or already ours. In the latter case the new epoch fences our own late commits.
--
-- KEYS  1 lease:{p}   2 epoch:{p}   3 suspect:{p}   4 frames:{p}   5 outcomes:{p}   6 dead:{p}
-- ARGV  1 worker id   2 time to live, ms   3 group   4 cursor to begin at if the group does not exist
--       5 a reply channel of the partition that has no subscriber   6 PUBLISH or SPUBLISH   7 ... the counters
-- returns nil if another worker holds it, else
--         { token, cursor, entries read, id up to which entries may have killed the last owner or '',
--           { note of an earlier owner, deaths, ... }, { after, until, ... of each range of unsafe entries },
--           { the value of each counter } }
local holder = redis.call('GET', KEYS[1])
local prefix = ARGV[1] .. ':'
if holder and string.sub(holder, 1, #prefix) ~= prefix then
  return false
end

-- A missing right to publish and keys of the wrong type, which would make every commit fail, fail here, before the
-- lease is taken.
redis.call(ARGV[6], ARGV[5], '')
for key, wanted in pairs({ [KEYS[3]] = 'hash', [KEYS[4]] = 'stream', [KEYS[5]] = 'hash', [KEYS[6]] = 'stream' }) do
  local found = redis.call('TYPE', key)['ok']
  if found ~= wanted and found ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. key .. ' must be a ' .. wanted .. ', and is a ' .. found)
  end
end

-- This changes nothing, but after a write that needs no memory Redis allows further writes when out of memory.
redis.call('PEXPIRE', KEYS[1], ARGV[2])

-- The epoch only grows, even after a loss of all keys, because it is never below the server's time. A value that is
-- not a number, or too large for a double, was not written by a worker.
local last = tonumber(redis.call('GET', KEYS[2]) or '0') or 0
if last < 0 or last >= 2 ^ 53 - 1 or last ~= last then
  last = 0
end
local epoch = string.format('%.0f', math.max(last + 1, now_ms()))
local token = prefix .. epoch
redis.call('SET', KEYS[2], epoch)
redis.call('SET', KEYS[1], token, 'PX', ARGV[2])

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

local function before(a, b)
  local a_ms, a_seq = string.match(a, '^(%d+)-?(%d*)$')
  local b_ms, b_seq = string.match(b, '^(%d+)-?(%d*)$')
  a_ms, b_ms, a_seq, b_seq = tonumber(a_ms), tonumber(b_ms), tonumber(a_seq) or 0, tonumber(b_seq) or 0
  return a_ms < b_ms or (a_ms == b_ms and a_seq < b_seq)
end

-- A stream that ends below the cursor is a new stream, so all of its entries are unread. So is one that does not exist
-- yet: if the clock was set back, its ids will be below the cursor. A late commit to a deleted stream leaves a group
-- like that.
local replaced = groups.err
    or before(pairs_of(redis.call('XINFO', 'STREAM', KEYS[4]))['last-generated-id'], cursor or ARGV[4])
if not cursor then
  cursor, entries_read = replaced and '0-0' or ARGV[4], 0
  redis.call('XGROUP', 'CREATE', KEYS[4], ARGV[3], cursor, 'MKSTREAM', 'ENTRIESREAD', 0)
elseif replaced then
  cursor, entries_read = '0-0', 0
  redis.call('XGROUP', 'SETID', KEYS[4], ARGV[3], cursor, 'ENTRIESREAD', 0)
end

-- The field `owner` exists until an owner releases the partition. If the last owner died, it marks the suspects.
-- `from` is the cursor at which it began.
-- Ranges of suspects are kept as `unsafe` longer than the notes, for ten minutes of the stream, because sessions must
-- not be rebuilt by classifying an entry that kills workers.
local suspect_until = ''
local deaths = {}
local noted = redis.call('HGET', KEYS[3], 'owner')
local unsafe = {}
local oldest = string.format('%.0f-0', math.max(tonumber(string.match(cursor, '^%d+')) - 600000, 0))
for after, upto in string.gmatch(redis.call('HGET', KEYS[3], 'unsafe') or '', '(%d+%-%d+) (%d+%-%d+)') do
  if not before(upto, oldest) then
    unsafe[#unsafe + 1] = after
    unsafe[#unsafe + 1] = upto
  end
end
-- Our own note proves that no entry has killed us: our lease ran out while the process or its machine stood still, and
-- nothing becomes suspect. Except if we abandoned the partition, or for the second time without a commit in between:
-- then an entry may be the reason.
local idle = noted and redis.call('HGET', KEYS[3], 'from') == cursor
local survived = noted and string.sub(noted, 1, #prefix) == prefix
    and not redis.call('HGET', KEYS[3], 'abandoned')
    and not (idle and redis.call('HGET', KEYS[3], 'stopped'))
if noted and not holder then
  redis.call('HDEL', KEYS[3], 'abandoned', 'stopped')
  if survived then
    redis.call('HDEL', KEYS[3], 'trying')
    if idle then
      redis.call('HSET', KEYS[3], 'stopped', '1')
    end
  else
    suspect_until = pairs_of(redis.call('XINFO', 'STREAM', KEYS[4]))['last-generated-id']
    if idle then
      -- It committed nothing, so it may have died while it rebuilt sessions: of an entry before the cursor that was
      -- stale or superseded and therefore never classified.
      unsafe = { '0-0', suspect_until }
    elseif #unsafe == 0 or before(unsafe[#unsafe], cursor) then
      unsafe[#unsafe + 1] = cursor
      unsafe[#unsafe + 1] = suspect_until
    end
    unsafe[#unsafe] = suspect_until
    if #unsafe > 32 then -- the two oldest ranges become one
      table.remove(unsafe, 2)
      table.remove(unsafe, 2)
    end
    redis.call('HSET', KEYS[3], 'unsafe', table.concat(unsafe, ' '))
    local tried = redis.call('HGET', KEYS[3], 'trying')
    if tried then
      redis.call('HINCRBY', KEYS[3], 'died:' .. tried, 1)
      redis.call('HDEL', KEYS[3], 'trying')
    end
  end
end
-- Suspects that no owner has committed stay suspect, also where we acquire our own lease again, or the last owner
-- released the partition before it was through.
if suspect_until == '' and #unsafe > 0 and before(cursor, unsafe[#unsafe]) then
  suspect_until = unsafe[#unsafe]
end
local fields = redis.call('HGETALL', KEYS[3])
for i = 1, #fields, 2 do
  if string.sub(fields[i], 1, 5) == 'died:' then
    deaths[#deaths + 1] = string.sub(fields[i], 6)
    deaths[#deaths + 1] = tonumber(fields[i + 1]) or 0
  end
end
-- Commits set counters, so one that is not a natural number was not written by a worker. It begins at zero.
local counted = redis.call('HMGET', KEYS[5], unpack(ARGV, 7))
for i, value in ipairs(counted) do
  counted[i] = tonumber(string.match(value or '', '^%d+$') or 0)
end
redis.call('HSET', KEYS[3], 'owner', token, 'from', cursor)
return { token, cursor, entries_read, suspect_until, deaths, unsafe, counted }
