-- Note, before it is tried, that a suspect frame is tried alone: if that kills the worker, the note remains.
--
-- KEYS  1 lease:{p}   2 suspect:{p}   ARGV  1 my token   2 '<entry id>/<frame>'
-- returns how often it was tried alone, this time included, or 0 where the partition is not mine any more
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('PERSIST', KEYS[2]) -- changes nothing, but lets the write below pass when memory is out
return redis.call('HINCRBY', KEYS[2], ARGV[2], 1)
