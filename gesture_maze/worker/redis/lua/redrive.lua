-- Give a dead letter back to the pool: its original fields become a new entry, and the letter is gone.
-- Both or neither, so that redriving a letter twice has one effect.
--
-- KEYS  1 dead:{p}   2 frames:{p}   ARGV  1 id of the letter   2 values at its end that are not the original's
-- returns the id of the new entry, or nil where there is no such letter (any more)
local found = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])
if #found == 0 then
  return false
end
local values = found[1][2]
local entry = {'XADD', KEYS[2], '*'}
for i = 1, #values - tonumber(ARGV[2]) do
  entry[#entry + 1] = values[i]
end
-- XADD comes first: out of memory it is refused, and then nothing has happened
local id = redis.call(unpack(entry))
redis.call('XDEL', KEYS[1], ARGV[1])
return id
