-- Write a note about the suspects that are processed next. If they kill the worker, the note remains, and the next
-- owner's acquire.lua counts a death for it.
--
-- KEYS  1 lease:{p}   2 suspect:{p}   ARGV  1 our token   2 the note
-- returns 1, or 0 if the partition is no longer ours
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('HDEL', KEYS[2], 'trying') -- needs no memory, and after it the write below passes when there is none
redis.call('HSET', KEYS[2], 'trying', ARGV[2])
return 1
