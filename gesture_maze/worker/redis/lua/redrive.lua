-- Redrive a dead letter: add its original fields as a new entry and delete the dead letter, both or neither.
-- Redriving it twice therefore has one effect.
--
-- KEYS  1 dead:{p}   2 frames:{p}   ARGV  1 id of the dead letter   2 number of values that the worker appended
-- returns the id of the new entry, or nil if the dead letter does not exist
local found = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])
if #found == 0 then
  return false
end
local values = found[1][2]
local entry = {'XADD', KEYS[2], '*'}
for i = 1, #values - tonumber(ARGV[2]) do
  entry[#entry + 1] = values[i]
end
-- XADD comes first: if Redis is out of memory, it fails and nothing is changed
local id = redis.call(unpack(entry))
redis.call('XDEL', KEYS[1], ARGV[1])
return id
