-- Note, before it is tried, which suspect frame is tried alone: if that kills the worker, the note remains,
-- and the next owner's acquire.lua counts a death for the frame.
--
-- KEYS  1 lease:{p}   2 suspect:{p}   ARGV  1 my token   2 the frame's name
-- returns how many workers died while they tried it alone, or -1 where the partition is not mine any more
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return -1
end
redis.call('PERSIST', KEYS[2]) -- changes nothing, but lets the write below pass when memory is out
redis.call('HSET', KEYS[2], 'trying', ARGV[2])
return tonumber(redis.call('HGET', KEYS[2], 'died:' .. ARGV[2]) or '0')
