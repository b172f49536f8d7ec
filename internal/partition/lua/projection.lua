-- projection.lua reads a whole partition at one watermark, for the audit.
--
-- KEYS[1]  the partition's hash: applied, seq, applied_seq     KEYS[2…]  for each sale: its hash, its buyers, its holds,
-- its line
--
-- Returns {applied, seq, applied_seq, {fields…}, {buyer, units, …}, {hold, ms, …}, {place, ms, …}, …}, the first three ""
-- when Redis has no data of it.
local p = redis.call('HMGET', KEYS[1], 'applied', 'seq', 'applied_seq')
local answer = {p[1] or '', p[2] or '', p[3] or ''}
for key = 2, #KEYS, 4 do
  for of = 0, 1 do answer[key + 2 + of] = redis.call('HGETALL', KEYS[key + of]) end
  for of = 2, 3 do answer[key + 2 + of] = redis.call('ZRANGE', KEYS[key + of], 0, -1, 'WITHSCORES') end
end
return answer
